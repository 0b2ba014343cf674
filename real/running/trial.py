"""Call a network to see that it works, or how long it takes."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from real.families.checkpoint import Checkpoint


@torch.no_grad()
def trial(checkpoint: Checkpoint, size: int, device: torch.device) -> Tensor:
    """The prediction (size, *shape) for blank images at the noisiest time."""
    x_t = torch.zeros(size, *checkpoint.shape, device=device)
    t = checkpoint.schedule.grid(2)[-1]
    t = t.to(device, x_t.dtype if t.is_floating_point() else t.dtype).expand(size)
    return checkpoint.predict(x_t, t, any_condition(checkpoint, size))


def any_condition(checkpoint: Checkpoint, size: int) -> Any:
    """A valid condition for each image; None for an unconditional network."""
    if checkpoint.conditions is None:
        return None
    if checkpoint.conditions == "text":
        return [""] * size
    return torch.zeros(size, dtype=torch.int64)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """How long work on a device takes, from when the device is idle until it is idle again."""
    _wait(device)
    begun = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - begun


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
