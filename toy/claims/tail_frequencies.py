"""Tail frequencies along exact reverse paths, against bounds of their probability.

A frequency refutes a bound when the lower limit of its exact binomial (Clopper-Pearson) interval
lies above the bound. The supremum over the grid of a path is at most that over the path, so that a
grid's frequency errs low. It can refute a bound of the path's supremum, which bounds the grid's as
well, but it never shows how tight such a bound is; one Gaussian in closed form does.
"""

from collections.abc import Callable

import torch
from scipy.stats import beta
from torch import Tensor

from theory.bounds.gaussian_tails import clocks
from toy.judge.claim import LEVEL, Trial
from toy.mixtures.diffusion import Diffusion
from toy.numerics.relative_errors import largest

PATHS, STEPS = 4000, 64
LOW_NOISE, HIGH_NOISE = 0.05, 1.0
DEVIATIONS = (1.0, 1.5, 2.0, 2.5, 3.0)

ERRS_LOW = "sup over a grid: errs low"
"""What a claim about a path's supremum says of its frequencies."""


def exceedance(tails: list[tuple[Tensor, float, float]]) -> Trial:
    """Largest lower confidence limit of P(value >= eps), in units of its bound.

    Args:
        tails: independent values (n,), eps and the bound of each event.
    """
    level, worst = LEVEL / len(tails), 0.0
    for values, eps, bound in tails:
        seen, n = int((values >= eps).sum()), len(values)
        if seen > 0:
            worst = largest([worst, float(beta.ppf(level, seen, n - seen + 1)) / bound])
    return Trial(worst, min(len(values) for values, _, _ in tails))


def clock_grid(
    diffusion: Diffusion,
    v: float,
    s: float = LOW_NOISE,
    t: float = HIGH_NOISE,
    ticks: Callable[[Tensor], Tensor] = lambda tau: tau,
) -> list[float]:
    """Times from t down to s, evenly in a function of the clock alpha^2/c, c = alpha^2 v + sigma^2.

    Args:
        diffusion: whose schedule it is.
        v: the variance of a component.
        s, t: the ends.
        ticks: the function.
    """
    fine = torch.linspace(t, s, 4096, dtype=torch.float64)
    seen = ticks(clocks(diffusion.schedule, v, fine))
    wanted = torch.linspace(seen[0].item(), seen[-1].item(), STEPS + 1, dtype=torch.float64)
    return fine[torch.searchsorted(seen, wanted).clamp(max=len(fine) - 1)].tolist()
