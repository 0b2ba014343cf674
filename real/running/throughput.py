"""What a calibration costs beyond the network: both at the same evaluations, taking turns."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from real.families.checkpoint import Checkpoint
from real.running.trial import any_condition


@dataclass(frozen=True)
class Throughput:
    """Seconds of the bare network calls and of the whole calibration, turn by turn."""

    evaluations: int
    bare: tuple[float, ...]
    whole: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Throughput of the calibration over that of the bare calls, median over turns."""
        return statistics.median(b / w for b, w in zip(self.bare, self.whole, strict=True))


def throughput(
    checkpoint: Checkpoint,
    calibrate: Callable[[], object],
    images: int,
    times: Tensor,
    batch_size: int,
    turns: int,
    device: torch.device,
) -> Throughput:
    """Time a calibration of so many images at these times against the network calls in it.

    Args:
        calibrate: the calibration, whole.
        images, batch_size: the bare calls are on blank images, in the same batches.
        turns: of each, after one of each in advance.
    """
    taken: list[tuple[float, float]] = []
    for _ in range(1 + turns):
        bare = _seconds(lambda: _bare(checkpoint, images, times, batch_size, device), device)
        taken.append((bare, _seconds(calibrate, device)))
    bare_seconds, whole_seconds = zip(*taken[1:], strict=True)
    return Throughput(images * len(times), bare_seconds, whole_seconds)


@torch.no_grad()
def _bare(
    checkpoint: Checkpoint, images: int, times: Tensor, batch_size: int, device: torch.device
) -> None:
    x_t = torch.zeros(min(images, batch_size), *checkpoint.shape, device=device)
    condition = any_condition(checkpoint, len(x_t))
    for first in range(0, images, batch_size):
        size = min(batch_size, images - first)
        some = None if condition is None else condition[:size]
        for t in times:
            like = x_t.dtype if t.is_floating_point() else t.dtype
            checkpoint.predict(x_t[:size], t.to(device, like).expand(size), some)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    begun = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - begun


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
