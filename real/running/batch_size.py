"""The best number of images per network call: the smallest beyond which throughput hardly rises."""

from collections.abc import Callable

import torch

from real.families.checkpoint import Checkpoint
from real.running.trial import seconds_of, trial
from theory.support.errors import InputError
from theory.support.memory import is_out_of_memory

MOST = 4096
RISE = 1.05
REPEATS = 3


def best_batch_size(seconds: Callable[[int], float], most: int = MOST) -> int:
    """The last batch size of those doubled from 1 that raised throughput by 5 % or more.

    Args:
        seconds: duration of a network call by its number of images; running out of memory ends the
            search.
        most: the largest batch size that is tried.

    Raises:
        InputError: memory does not suffice for one image.
    """
    best, throughput, size = 0, 0.0, 1
    while size <= most:
        try:
            now = size / seconds(size)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            break
        if now < RISE * throughput:
            break
        best, throughput, size = size, now, 2 * size
    if not best:
        raise InputError("memory: expected room for one image, got none (out of memory)")
    return best


def timed(checkpoint: Checkpoint, device: torch.device) -> Callable[[int], float]:
    """Seconds of a network call by its number of images: the least of three, after one that warms up."""

    def seconds(size: int) -> float:
        """The least of three."""
        taken = [
            seconds_of(lambda: trial(checkpoint, size, device), device) for _ in range(1 + REPEATS)
        ]
        return min(taken[1:])

    return seconds
