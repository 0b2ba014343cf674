"""The best number of images per network call: the smallest at which the throughput has levelled."""

import time
from collections.abc import Callable

import torch

from real.families.checkpoint import Checkpoint
from real.running.memory import is_out_of_memory
from real.running.trial import trial
from theory.support.errors import InputError

MOST = 4096
RISE = 1.05
REPEATS = 3


def best_batch_size(seconds: Callable[[int], float], most: int = MOST) -> int:
    """Double the batch for as long as that raises the throughput by 5 %.

    Args:
        seconds: of one network call on so many images; out-of-memory errors end the search.
        most: no batch is larger.

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
    """Seconds of a network call by its number of images: the least of three, after one in advance."""

    def seconds(size: int) -> float:
        return min([_once(checkpoint, size, device) for _ in range(1 + REPEATS)][1:])

    return seconds


def _once(checkpoint: Checkpoint, size: int, device: torch.device) -> float:
    begun = time.perf_counter()
    trial(checkpoint, size, device)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun
