"""Choose a way to sample by its samples: successive halving, then a test by samples that chose nothing.

The first way is to do nothing. The others compete on trials, each a seed of the noise that all start
from, and the worse half of them goes after each round (Jamieson and Talwalkar 2016). What is left is
held against nothing on trials of their own. It is chosen only if both of its distances are certain (95 %)
to be smaller there; so what is certainly worse than nothing never is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from theory.statistics.intervals import LEVEL, Estimate

ROUNDS = (2, 4, 8)
"""Trials after which the worse half goes."""
DECIDING = 12
"""Trials of their own on which what is left is held against nothing."""


@dataclass(frozen=True)
class Distances:
    """Distances of samples to real images: the unbiased kernel distance, and the Frechet distance."""

    kernel: float
    frechet: float


Measure = Callable[[str, int], Distances]
"""measure(name, trial); all names share the noise and the images of a trial."""


@dataclass(frozen=True)
class Fall:
    """A distance without and with what was best, and its fall: means of trials.

    The intervals are of 90 %, so that either end is a bound of 95 %.
    """

    before: Estimate
    after: Estimate
    fall: Estimate

    @classmethod
    def of(cls, before: Sequence[float], after: Sequence[float]) -> "Fall":
        """From the values of the same trials."""
        b, a = (torch.tensor(values, dtype=torch.float64) for values in (before, after))
        return cls(*(Estimate.of_mean(x, level=2 * LEVEL - 1) for x in (b, a, b - a)))


@dataclass(frozen=True)
class Choice:
    """What was chosen, and from what.

    Attributes:
        chosen: the best, or the name for nothing.
        best: what was left of the others.
        tried: the distances of each name on the trials that it took part in, in their order.
        kernel, frechet: falls of the best one's distances on trials that had no part in choosing.
    """

    chosen: str
    best: str
    tried: dict[str, list[Distances]]
    kernel: Fall
    frechet: Fall


def choose(names: Sequence[str], choosing: Measure, deciding: Measure) -> Choice:
    """The best of some ways to sample, if it is certain to be better than the first.

    Args:
        names: of the ways; the first stands for nothing.
        choosing: distances on trials 0, 1, ... by which the others compete.
        deciding: distances on other trials, by which what is left is held against nothing.
    """
    nothing, *left = names
    tried: dict[str, list[Distances]] = {name: [] for name in names}
    for trials in ROUNDS:
        for name in (nothing, *left):
            tried[name] += [choosing(name, k) for k in range(len(tried[name]), trials)]
        left.sort(key=lambda name: sum(found.kernel for found in tried[name]))
        left = left[: (len(left) + 1) // 2]
    best = left[0]
    before, after = ([deciding(name, k) for k in range(DECIDING)] for name in (nothing, best))
    kernel, frechet = (
        Fall.of(
            [getattr(found, what) for found in before], [getattr(found, what) for found in after]
        )
        for what in ("kernel", "frechet")
    )
    certain = min(kernel.fall.lower, frechet.fall.lower) > 0
    return Choice(best if certain else nothing, best, tried, kernel, frechet)
