"""Tail frequencies along exact reverse paths, against bounds.

A frequency refutes a bound when the lower limit of its exact binomial (Clopper-Pearson) interval
lies above the bound. The supremum over the grid of a path is at most that over the path: a grid's
frequency errs low. It can therefore refute a bound of the path's supremum, which holds for the
grid's a fortiori, but it never shows how tight such a bound is; one Gaussian in closed form does.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.stats import beta
from torch import Tensor

from theory.bounds.gaussian_tails import clock
from theory.diffusion.schedules import VPLinear
from toy.judge.claim import Trial
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture

Process = Callable[[Diffusion, Tensor, float], Tensor]

LEVEL = 1e-8
WEIGHTS = (0.6, 0.4)
PATHS, STEPS = 4000, 64
LOW_NOISE, HIGH_NOISE = 0.05, 1.0
DEVIATIONS = (1.0, 1.5, 2.0, 2.5, 3.0)

ERRS_LOW = "sup over a grid: errs low"
"""What a claim about a path's supremum says of its frequencies."""


@dataclass(frozen=True)
class Tail:
    """How often an event was seen in n independent paths, and what bounds its probability."""

    seen: int
    n: int
    bound: float


def tail(values: Tensor, eps: float, bound: float) -> Tail:
    """How often independent values (n,) reach eps."""
    return Tail(int((values >= eps).sum()), len(values), bound)


def exceedance(tails: list[Tail]) -> Trial:
    """Largest lower confidence limit of a tail's probability, in units of its bound."""
    level = LEVEL / len(tails)
    limits = (
        float(beta.ppf(level, tail.seen, tail.n - tail.seen + 1)) / tail.bound
        for tail in tails
        if tail.seen > 0
    )
    return Trial(max(limits, default=0.0), min(tail.n for tail in tails))


def pair(dimension: int, diameter: float, variance: float) -> Diffusion:
    """Two components on the diagonal; at diameter 0 one Gaussian."""
    half = torch.full((1, dimension), diameter / 2 / math.sqrt(dimension), dtype=torch.float64)
    data = GaussianMixture.diagonal(
        torch.tensor(WEIGHTS), torch.cat([half, -half]), torch.tensor([variance] * 2)
    )
    return Diffusion(data, VPLinear())


def diagonal(dimension: int) -> Tensor:
    """The unit vector (d,) along which the two components lie."""
    return torch.full((dimension,), 1 / math.sqrt(dimension), dtype=torch.float64)


def times_between(
    diffusion: Diffusion,
    v: float,
    s: float = LOW_NOISE,
    t: float = HIGH_NOISE,
    ticks: Callable[[float], float] = float,
) -> list[float]:
    """From t down to s, evenly in ``ticks`` of the clock alpha^2/c, c = alpha^2 v + sigma^2."""
    fine = torch.linspace(t, s, 4096, dtype=torch.float64)
    seen = torch.tensor([ticks(clock(diffusion.schedule, v, r)) for r in fine.tolist()])
    wanted = torch.linspace(seen[0].item(), seen[-1].item(), STEPS + 1)
    return fine[torch.searchsorted(seen, wanted).clamp(max=len(fine) - 1)].tolist()


def along(
    diffusion: Diffusion,
    x: Tensor,
    times: list[float],
    process: Process,
    generator: torch.Generator,
) -> Tensor:
    """process(x_r, r) along exact reverse paths from x (n, d): (len(times), n, ...)."""
    path = diffusion.reverse_path(x, times, generator)
    return torch.stack([process(diffusion, x_r, r) for x_r, r in zip(path, times, strict=True)])
