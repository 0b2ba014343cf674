"""Tail frequencies along exact reverse paths, against bounds of their probability.

A frequency refutes a bound when the lower limit of its exact binomial (Clopper-Pearson) interval
lies above the bound. The supremum over the grid of a path is at most that over the path, so that a
grid's frequency errs low. It can refute a bound of the path's supremum, which bounds the grid's as
well, but it never shows how tight such a bound is; one Gaussian in closed form does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.stats import beta
from torch import Tensor

from theory.bounds.gaussian_tails import clock
from toy.judge.claim import LEVEL, Trial
from toy.mixtures.diffusion import Diffusion

PATHS, STEPS = 4000, 64
LOW_NOISE, HIGH_NOISE = 0.05, 1.0
DEVIATIONS = (1.0, 1.5, 2.0, 2.5, 3.0)

ERRS_LOW = "sup over a grid: errs low"
"""What a claim about a path's supremum says of its frequencies."""


@dataclass(frozen=True)
class TailFrequency:
    """How often an event was seen in n independent paths, and a bound of its probability."""

    seen: int
    n: int
    bound: float


def tail_frequency(values: Tensor, eps: float, bound: float) -> TailFrequency:
    """How often independent values (n,) reach eps."""
    return TailFrequency(int((values >= eps).sum()), len(values), bound)


def exceedance(tails: list[TailFrequency]) -> Trial:
    """Largest lower confidence limit of a tail's probability, in units of its bound."""
    level = LEVEL / len(tails)
    limits = (
        float(beta.ppf(level, tail.seen, tail.n - tail.seen + 1)) / tail.bound
        for tail in tails
        if tail.seen > 0
    )
    return Trial(max(limits, default=0.0), min(tail.n for tail in tails))


def clock_grid(
    diffusion: Diffusion,
    v: float,
    s: float = LOW_NOISE,
    t: float = HIGH_NOISE,
    ticks: Callable[[float], float] = float,
) -> list[float]:
    """Times from t down to s, evenly in a function of the clock alpha^2/c, c = alpha^2 v + sigma^2.

    Args:
        diffusion: whose schedule it is.
        v: the variance of a component.
        s, t: the ends.
        ticks: the function.
    """
    fine = torch.linspace(t, s, 4096, dtype=torch.float64)
    seen = torch.tensor([ticks(clock(diffusion.schedule, v, r)) for r in fine.tolist()])
    wanted = torch.linspace(seen[0].item(), seen[-1].item(), STEPS + 1)
    return fine[torch.searchsorted(seen, wanted).clamp(max=len(fine) - 1)].tolist()
