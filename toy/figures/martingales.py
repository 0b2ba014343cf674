"""Martingales of the reverse process: the score, the posterior, the tower, the translations."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from theory.bounds.concentration import ville
from theory.bounds.gaussian_tails import clock_between, translation_tail
from toy.figures.common import (
    Bundle,
    Frequencies,
    along,
    bundle,
    frequencies,
    gaussian,
    line,
    pair,
    times_between,
)
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.tower import log_translation, tower_martingale
from toy.numerics.quadrature import expectation

Of = Callable[..., Tensor]
"""From points x (n, d) and one time t to values (n, m)."""


@dataclass(frozen=True)
class ScorePaths:
    """M along exact reverse paths from one x_T, and the value that its mean must keep.

    ``without_alpha`` (T,) is the mean of the score without its factor, scaled to start there too.
    """

    paths: Bundle
    without_alpha: Tensor
    start: float


@dataclass(frozen=True)
class Residuals:
    """|E[M_s|x_t] - M_t| / E[|M_s||x_t] for s < t, NaN elsewhere: with and without alpha."""

    times: Tensor
    martingale: Tensor
    without_alpha: Tensor


@dataclass(frozen=True)
class PosteriorPaths:
    """E[x_0|x_t] and P(1|x_t) along the same paths from one x_T; the mean of x_t/alpha_t beside."""

    mean: Bundle
    probability: Bundle
    rescaled: Tensor
    starts: tuple[float, float]


@dataclass(frozen=True)
class Tower:
    """Residuals of alpha^n q^(n)/q, orders n = 1, 2, 3, over s (S,): (3, S).

    ``power_less``: the same with alpha^(n - 1).
    """

    t: float
    times: Tensor
    residuals: Tensor
    power_less: Tensor


@dataclass(frozen=True)
class Translation:
    """L_t(h) along reverse paths, and the tail of its supremum against 1/b at levels b (B,).

    ``closed_form`` is for one Gaussian, ``gaussian`` and ``mixture`` are seen along paths.
    """

    h: float
    paths: Bundle
    levels: Tensor
    bound: Tensor
    closed_form: Tensor
    gaussian: Frequencies
    mixture: Frequencies


def score_paths(seed: int, count: int = 2000, steps: int = 60) -> ScorePaths:
    """Exact reverse paths of a one-dimensional mixture, all from the same x_T."""
    diffusion, generator = line(), torch.Generator().manual_seed(seed)
    times = torch.linspace(0.4, 0.02, steps, dtype=torch.float64)
    x_t = torch.full((count, 1), 1.6, dtype=torch.float64)
    values = along(diffusion, x_t, times, lambda x, t: diffusion.martingale(x, t)[:, 0], generator)
    alphas = diffusion.schedule.alpha(times)
    without_alpha = values.mean(1) * alphas[0] / alphas
    return ScorePaths(bundle(times, values), without_alpha, values[0, 0].item())


def residuals(points: int = 24) -> Residuals:
    """The martingale's residual by quadrature over a grid of (s, t), at x_t = 0.8."""
    diffusion = line()
    times = torch.linspace(0.02, 1.0, points, dtype=torch.float64)
    x_t = torch.tensor([0.8], dtype=torch.float64)

    def grid(process: Of) -> Tensor:
        values = torch.full((points, points), torch.nan, dtype=torch.float64)
        for j, t in enumerate(times.tolist()):
            for i, s in enumerate(times[:j].tolist()):
                values[i, j] = _residual(diffusion, process, x_t, s, t)
        return values

    return Residuals(
        times,
        grid(diffusion.martingale),
        grid(lambda x_t, t: diffusion.marginal(t).score(x_t)),
    )


def _residual(diffusion: Diffusion, process: Of, x_t: Tensor, s: float, t: float) -> float:
    kernel = diffusion.reverse_kernel(x_t, s, t)
    integral = expectation(kernel, partial(process, t=s))
    return ((integral.value - process(x_t, t)).abs() / integral.magnitude).item()


def posterior(seed: int, count: int = 8000, steps: int = 60) -> PosteriorPaths:
    """Posterior mean and probability of a component, on the same paths from one x_T."""
    diffusion = line()
    times = torch.linspace(0.5, 0.02, steps, dtype=torch.float64)
    x_t = torch.zeros(count, 1, dtype=torch.float64)

    def follow(process: Of) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return along(diffusion, x_t, times, lambda x, t: process(x, t)[:, 0], generator)

    mean = follow(diffusion.posterior_mean)
    probability = follow(lambda x, t: diffusion.marginal(t).responsibilities(x))
    rescaled = follow(lambda x, t: x / diffusion.scales(t)[0]).mean(1)
    starts = mean[0, 0].item(), probability[0, 0].item()
    return PosteriorPaths(bundle(times, mean), bundle(times, probability), rescaled, starts)


def tower(t: float = 0.6, points: int = 30) -> Tower:
    """Residuals of the first three orders over s < t, at x_t = 0.8."""
    diffusion, x_t = line(), torch.tensor([0.8], dtype=torch.float64)
    times = torch.linspace(0.05, 0.95 * t, points, dtype=torch.float64)

    def over_times(process: Of) -> list[float]:
        return [_residual(diffusion, process, x_t, s, t) for s in times.tolist()]

    def power_less(x: Tensor, t: float, order: int) -> Tensor:
        return tower_martingale(diffusion, x, t, order) / diffusion.scales(t)[0]

    orders = (1, 2, 3)
    exact = [over_times(partial(tower_martingale, diffusion, order=n)) for n in orders]
    wrong = [over_times(partial(power_less, order=n)) for n in orders]
    return Tower(t, times, torch.tensor(exact).double(), torch.tensor(wrong).double())


def translation(seed: int, count: int = 10_000, steps: int = 150) -> Translation:
    """L_t(h) for one Gaussian and for a mixture, from x_T ~ q_T."""
    h, v, t, s = 1.5, 1.0, 1.0, 0.02
    levels = torch.logspace(0.05, 1.7, 12, dtype=torch.float64)
    alone, mixture = gaussian(v), pair(1, 2.0, v)
    log_alone, log_mixture = (
        _log_translations(d, h, (t, s), count, steps, seed) for d in (alone, mixture)
    )
    times = times_between(mixture, t, s, steps)
    variance = clock_between(alone.schedule, v, s, t)
    growth = [(x - x[0]).amax(0).exp() for x in (log_alone, log_mixture)]
    return Translation(
        h, bundle(times, log_mixture.exp()), levels,
        torch.tensor([ville(b) for b in levels.tolist()], dtype=torch.float64),
        torch.tensor([translation_tail(b, h, variance) for b in levels.tolist()]).double(),
        frequencies(growth[0], levels), frequencies(growth[1], levels),
    )  # fmt: skip


def _log_translations(
    diffusion: Diffusion, h: float, ends: tuple[float, float], count: int, steps: int, seed: int
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shift = torch.tensor([h], dtype=torch.float64)
    x = diffusion.marginal(ends[0]).sample(generator, count)
    times = times_between(diffusion, *ends, steps)

    def log_ratio(x: Tensor, t: float) -> Tensor:
        return log_translation(diffusion.marginal(t), x, diffusion.scales(t)[0] * shift)

    return along(diffusion, x, times, log_ratio, generator)
