"""Time a calibration against the network calls in it, in turns."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from real.families.checkpoint import Checkpoint
from real.running.trial import any_condition, seconds_of


@dataclass(frozen=True)
class Throughput:
    """Times of the bare network calls and of the whole calibration.

    Attributes:
        evaluations: of the network, in each.
        bare, whole: seconds in each turn.
    """

    evaluations: int
    bare: tuple[float, ...]
    whole: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Throughput of the calibration over that of the bare calls, the median over turns."""
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
    """Time a calibration against bare network calls on as many blank images, in the same batches.

    Args:
        checkpoint: the network.
        calibrate: runs the whole calibration.
        images, times, batch_size: those of the calibration.
        turns: how often each is timed, after one turn that does not count.
        device: where both run.
    """
    taken: list[tuple[float, float]] = []
    for _ in range(1 + turns):
        bare = seconds_of(lambda: bare_calls(checkpoint, images, times, batch_size, device), device)
        taken.append((bare, seconds_of(calibrate, device)))
    bare_seconds, whole_seconds = zip(*taken[1:], strict=True)
    return Throughput(images * len(times), bare_seconds, whole_seconds)


@torch.no_grad()
def bare_calls(
    checkpoint: Checkpoint, images: int, times: Tensor, batch_size: int, device: torch.device
) -> None:
    """Call the network on blank images, in batches.

    Args:
        checkpoint: the network.
        images: how many.
        times: at each of which every image is shown.
        batch_size: images per call.
        device: of the network.
    """
    x_t = torch.zeros(min(images, batch_size), *checkpoint.shape, device=device)
    condition = any_condition(checkpoint, len(x_t))
    for first in range(0, images, batch_size):
        size = min(batch_size, images - first)
        some = None if condition is None else condition[:size]
        for t in times:
            like = x_t.dtype if t.is_floating_point() else t.dtype
            checkpoint.predict(x_t[:size], t.to(device, like).expand(size), some)
