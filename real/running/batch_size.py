"""The best number of images per network call: the smallest whose throughput is near the best."""

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
    """The smallest batch size, of those doubled from 1, within 5 % of the best throughput.

    The search ends where memory does, or after two sizes in a row that raised it by less than that:
    a single call may have been held up by something else.

    Args:
        seconds: duration of a network call by its number of images; running out of memory ends the
            search.
        most: the largest batch size that is tried.

    Raises:
        InputError: memory does not suffice for one image.
    """
    throughput: dict[int, float] = {}
    size = 1
    while size <= most and not _level(list(throughput.values())):
        try:
            throughput[size] = size / seconds(size)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            break
        size *= 2
    if not throughput:
        raise InputError("memory: expected room for one image, got none (out of memory)")
    enough = max(throughput.values()) / RISE
    return min(size for size, now in throughput.items() if now >= enough)


def _level(throughput: list[float]) -> bool:
    """Whether the last two are hardly above the best before them."""
    before, last = throughput[:-2], throughput[-2:]
    return bool(before) and max(last) < RISE * max(before)


def timed(checkpoint: Checkpoint, device: torch.device) -> Callable[[int], float]:
    """Seconds of a network call by its number of images: the least of three, after one that warms up."""

    def seconds(size: int) -> float:
        """The least of three."""
        taken = [
            seconds_of(lambda: trial(checkpoint, size, device), device) for _ in range(1 + REPEATS)
        ]
        return min(taken[1:])

    return seconds
