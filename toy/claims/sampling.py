"""The martingale along exact reverse paths in high dimension, at a named level.

From a fixed x_T many exact reverse paths are drawn. For a mixture with common covariance v I and
means of diameter D, u.(M_s - M_T) is sub-Gaussian with the variance proxy of
``theory.bounds.concentration``, for every n: the test needs no asymptotics. The union bound is over
times and directions u.
"""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from theory.bounds.concentration import mean_deviation, variance_proxy
from theory.diffusion.schedules import VPLinear
from toy.judge.claim import Mutant, StatisticalClaim, Trial
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.reverse_paths import on_a_sphere

LEVEL = 1e-8
WEIGHTS, VARIANCE, DIAMETER = (0.5, 0.3, 0.2), 1.0, 3.0
TIMES = [0.6, 0.45, 0.3, 0.2, 0.1]
DIRECTIONS = 20

Step = Callable[[Diffusion, Tensor, float, float, torch.Generator], Tensor]
Process = Callable[[Diffusion, Tensor, float], Tensor]


def exact_step(
    diffusion: Diffusion, x_t: Tensor, s: float, t: float, generator: torch.Generator
) -> Tensor:
    """Draw x_s from the exact reverse kernel."""
    return diffusion.reverse_kernel(x_t, s, t).sample(generator)[0]


def ode_step(
    diffusion: Diffusion, x_t: Tensor, s: float, t: float, generator: torch.Generator
) -> Tensor:
    """The probability-flow ODE from t to s, dx/dt = f x - (g^2/2) score, by Heun steps.

    It has no noise: paths that start from one point stay one path.
    """
    paths, x_t = len(x_t), x_t[:1]
    times = torch.linspace(t, s, 9, dtype=torch.float64)

    def slope(x: Tensor, time: Tensor) -> Tensor:
        score = diffusion.marginal(time.item()).score(x)
        schedule = diffusion.schedule
        return schedule.drift(time) * x - schedule.diffusion_sq(time) / 2 * score

    for now, then in itertools.pairwise(times):
        first = slope(x_t, now)
        second = slope(x_t + (then - now) * first, then)
        x_t = x_t + (then - now) * (first + second) / 2
    return x_t.expand(paths, -1)


def path_trial(
    dimension: int,
    paths: int,
    seed: int,
    process: Process = Diffusion.martingale,
    step: Step = exact_step,
) -> Trial:
    """Largest |mean of u.(M_s - M_T)| over times and directions, in units of its threshold."""
    generator = torch.Generator().manual_seed(seed)
    data = on_a_sphere(dimension, WEIGHTS, DIAMETER, VARIANCE, generator)
    diffusion = Diffusion(data, VPLinear())
    x_t = diffusion.marginal(TIMES[0]).sample(generator)[0]
    start = process(diffusion, x_t, TIMES[0])
    units = torch.randn(DIRECTIONS, dimension, generator=generator, dtype=torch.float64)
    units = torch.cat([units, start[None], data.means])
    units = units / units.norm(dim=1, keepdim=True)
    level = LEVEL / (len(units) * (len(TIMES) - 1))
    x, worst = x_t.expand(paths, dimension), 0.0
    for t, s in itertools.pairwise(TIMES):
        x = step(diffusion, x, s, t, generator)
        deviation = ((process(diffusion, x, s) - start).mean(0) @ units.T).abs().max().item()
        proxy = variance_proxy(diffusion.schedule, VARIANCE, DIAMETER, s, TIMES[0])
        worst = max(worst, deviation / mean_deviation(proxy, paths, level))
    return Trial(worst, paths)


def _without_alpha(diffusion: Diffusion, x: Tensor, t: float) -> Tensor:
    return diffusion.marginal(t).score(x)


def _claim(dimension: int, paths: int) -> StatisticalClaim:
    def trial(process: Process, step: Step) -> Callable[[int], Trial]:
        return lambda seed: path_trial(dimension, paths, seed, process, step)

    return StatisticalClaim(
        f"paths-{dimension}", "1", f"E[M_s|x_T] = M_T over exact reverse paths, d = {dimension}",
        LEVEL, trial(Diffusion.martingale, exact_step),
        (
            Mutant(f"paths-no-alpha-{dimension}", trial(_without_alpha, exact_step)),
            Mutant(f"paths-ode-{dimension}", trial(Diffusion.martingale, ode_step)),
        ),
    )  # fmt: skip


CLAIMS = (_claim(64, 4000), _claim(3072, 400))
