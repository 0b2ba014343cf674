"""The martingale along exact reverse paths in high dimension, as a statistical test.

Many exact reverse paths are drawn from a fixed x_T. For a mixture with common covariance v I and
means of diameter D, u.(M_s - M_T) is sub-Gaussian with the variance proxy of
``theory.bounds.concentration``, so that the test is exact for every number of paths. The union bound
is over times and directions u.
"""

import itertools
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from theory.bounds.concentration import mean_deviation, variance_proxy
from theory.diffusion.schedules import VPLinear
from toy.judge.claim import LEVEL, StatisticalClaim, Trial, statistical_claim
from toy.mixtures.diffusion import Diffusion, Process
from toy.mixtures.reverse_paths import directions, mixture_on_sphere
from toy.numerics.relative_errors import largest

WEIGHTS, VARIANCE, DIAMETER = (0.5, 0.3, 0.2), 1.0, 3.0
TIMES = [0.6, 0.45, 0.3, 0.2, 0.1]
DIRECTIONS = 20

Step = Callable[[Diffusion, Tensor, float, float, torch.Generator], Tensor]
"""From a diffusion, x_t, times s < t and a generator to x_s."""


def exact_step(
    diffusion: Diffusion, x_t: Tensor, s: float, t: float, generator: torch.Generator
) -> Tensor:
    """A draw of x_s from the exact reverse kernel.

    Args: as ``Step``.
    """
    return diffusion.reverse_kernel(x_t, s, t).sample(generator)[0]


def ode_step(
    diffusion: Diffusion, x_t: Tensor, s: float, t: float, generator: torch.Generator
) -> Tensor:
    """The mistake of the probability-flow ODE, dx/dt = f x - (g^2/2) score, by Heun steps.

    It has no noise, so that paths which start from one point stay one path. Args: as ``Step``.
    """
    paths, x_t = len(x_t), x_t[:1]
    times = torch.linspace(t, s, 9, dtype=torch.float64)

    def slope(x: Tensor, time: Tensor) -> Tensor:
        """dx/dt."""
        score = diffusion.score(x, time.item())
        schedule = diffusion.schedule
        return schedule.drift(time) * x - schedule.diffusion_sq(time) / 2 * score

    for now, then in itertools.pairwise(times):
        first = slope(x_t, now)
        second = slope(x_t + (then - now) * first, then)
        x_t = x_t + (then - now) * (first + second) / 2
    return x_t.expand(paths, -1)


def path_trial(
    seed: int,
    dimension: int,
    paths: int,
    process: Process = Diffusion.martingale,
    step: Step = exact_step,
) -> Trial:
    """Largest |mean of u.(M_s - M_T)| over times and directions, in units of its threshold.

    Args:
        seed: of the data, the directions and the paths.
        dimension: of the data.
        paths: how many.
        process: M.
        step: from x_t to x_s.
    """
    generator = torch.Generator().manual_seed(seed)
    data = mixture_on_sphere(dimension, WEIGHTS, DIAMETER, VARIANCE, generator)
    diffusion = Diffusion(data, VPLinear())
    x_t = diffusion.marginal(TIMES[0]).sample(generator)[0]
    start = process(diffusion, x_t, TIMES[0])
    units = directions(data, start, DIRECTIONS, generator)
    level = LEVEL / (len(units) * (len(TIMES) - 1))
    x, worst = x_t.expand(paths, dimension), 0.0
    for t, s in itertools.pairwise(TIMES):
        x = step(diffusion, x, s, t, generator)
        deviation = ((process(diffusion, x, s) - start).mean(0) @ units.T).abs().max().item()
        proxy = variance_proxy(diffusion.schedule, VARIANCE, DIAMETER, s, TIMES[0])
        worst = largest([worst, deviation / mean_deviation(proxy, paths, level)])
    return Trial(worst, paths)


def _claim(dimension: int, paths: int) -> StatisticalClaim:
    trial = partial(path_trial, dimension=dimension, paths=paths)
    return statistical_claim(
        f"paths-{dimension}", "1", f"E[M_s|x_T] = M_T over exact reverse paths, d = {dimension}",
        trial, process={f"paths-no-alpha-{dimension}": Diffusion.score},
        step={f"paths-ode-{dimension}": ode_step},
    )  # fmt: skip


CLAIMS = (_claim(64, 4000), _claim(3072, 400))
