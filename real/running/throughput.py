"""Time work against the network calls in it, in turns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from real.families.checkpoint import Checkpoint
from real.running.trial import any_condition, seconds_of
from theory.statistics.intervals import Estimate


@dataclass(frozen=True)
class Timing:
    """How long some work took in each turn.

    Attributes:
        evaluations: of the network in it.
        seconds: of each turn.
    """

    evaluations: int
    seconds: tuple[float, ...]

    @property
    def rate(self) -> Tensor:
        """Evaluations per second in each turn."""
        return self.evaluations / torch.tensor(self.seconds, dtype=torch.float64)

    def relative_to(self, other: "Timing") -> Estimate:
        """Throughput over the other's: geometric mean over turns, with Student's interval of its log."""
        log = Estimate.of_mean((self.rate / other.rate).log())
        low, value, high = torch.tensor([log.lower, log.value, log.upper]).exp().tolist()
        return Estimate(value, low, high)


def take_turns(
    works: Mapping[str, Callable[[], int]], turns: int, device: torch.device
) -> dict[str, Timing]:
    """Time several works in one process, one after the other in every turn, each turn from another on.

    Args:
        works: by name; each returns how many network evaluations it made, always the same number.
        turns: how often each is timed, after one turn that does not count.
        device: where they run.
    """
    names = list(works)
    seconds: dict[str, list[float]] = {name: [] for name in works}
    evaluations: dict[str, int] = {}
    for turn in range(1 + turns):
        first = turn % len(names)
        for name in names[first:] + names[:first] if turn else names:
            evaluations[name], taken = _timed(works[name], device)
            seconds[name] += [taken] if turn else []
    return {name: Timing(evaluations[name], tuple(seconds[name])) for name in names}


def _timed(work: Callable[[], int], device: torch.device) -> tuple[int, float]:
    """What a work returns, and the seconds that it took."""
    made: list[int] = []
    seconds = seconds_of(lambda: made.append(work()), device)
    return made[0], seconds


@torch.no_grad()
def bare_calls(
    checkpoint: Checkpoint, images: int, times: Tensor, batch_size: int, device: torch.device
) -> int:
    """Call the network on blank images, in batches; the number of evaluations.

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
    return images * len(times)
