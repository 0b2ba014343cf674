"""Densities, scores and kernels are finite and accurate on mixtures that are hard to compute.

Deviations from 1e-5 to 1e3 in one mixture, weights down to 1e-12, means that coincide or lie a
thousand deviations out, covariances whose axes differ by a factor of 1e8.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from theory.diffusion.schedules import RectifiedFlow
from toy.claims.martingale import kernel_expectation_error
from toy.judge.claim import exact_claim
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture
from toy.numerics.decimals import DensityValues, values_at
from toy.numerics.quadrature import expectation
from toy.numerics.relative_errors import TINY, elementwise_error, largest
from toy.strategies.extremes import ExtremeCase, extreme_cases
from toy.strategies.time_pairs import TimePair

Score = Callable[[GaussianMixture, Tensor], Tensor]
"""From a law and points to grad log q there."""

MOST_POINTS = 2**20
"""Points of one sum at most. The right score took no more in any case seen; a wrong one may never settle."""


def finite_error(case: ExtremeCase, score: Score = GaussianMixture.score) -> float:
    """0 where density, score, Hessian and reverse kernel are finite at a point, else 1."""
    diffusion, s, t, x = case.diffusion, case.times.s, case.times.t, case.x_t()
    law, kernel = diffusion.marginal(t), diffusion.reverse_kernel(x, s, t)
    parts: tuple[Any, ...] = (
        law.log_density(x), score(law, x), law.hessian(x), law.responsibilities(x),
        case.mixture().log_density(x), score(case.mixture(), x), case.mixture().hessian(x),
        kernel.log_weights.exp(), kernel.means, kernel.variances, kernel.log_density(x),
        diffusion.posterior_mean(x, t), diffusion.noise_prediction(x, t),
    )  # fmt: skip
    return float(not all(bool(part.isfinite().all()) for part in parts))


def score_mean_error(case: ExtremeCase, score: Score = GaussianMixture.score) -> float:
    """|E grad log q| relative to E|grad log q|, under the mixture itself, no noise added.

    The mixture is moved so that its narrowest component lies at zero, where x has all of its digits.
    """
    law = case.mixture()
    law = replace(law, means=law.means - law.means[law.variances[:, 0].argmin()])
    integral = expectation(law, lambda x: score(law, x), most=MOST_POINTS)
    return elementwise_error(integral.value, integral.magnitude)


def in_floating_point(law: GaussianMixture, x: Tensor) -> DensityValues:
    """Density and derivatives by the mixture's own methods."""
    return DensityValues(law.log_density(x), law.responsibilities(x), law.score(x), law.hessian(x))


def decimal_error(
    case: ExtremeCase, at: Callable[[GaussianMixture, Tensor], DensityValues] = in_floating_point
) -> float:
    """Density and derivatives at x_t against decimal arithmetic, relative to the effect of rounding.

    A relative error of x - m changes the logarithm of a component by ``lost`` and its score by
    ``spread`` times that. The error of each value is divided by its own first-order change.
    """
    law, x = case.diffusion.marginal(case.times.t), case.x_t()
    got, exact = at(law, x), values_at(law, x)
    turns = law.axes.abs()
    z, reach = law.centred(x).abs(), (turns.mT @ (x - law.means).abs()[..., None])[..., 0]
    lost = (z * reach / law.variances + torch.log(law.variances).abs()).sum(-1) + 1
    spread = (turns @ (reach / law.variances)[..., None])[..., 0]
    p, away = exact.responsibilities, law.component_scores(x) - exact.score
    products, sizes = away[:, :, None] * away[:, None, :], away.abs()[:, :, None] * spread[:, None]
    moves = lost[:, None, None] * products.abs() + sizes + sizes.mT + law.precisions().abs()
    scales = (
        p @ lost + exact.log_density.abs(),
        1 + p @ lost,
        p @ (lost[:, None] * away.abs() + spread),
        torch.einsum("k,kij->ij", p, moves),
    )
    errors = (
        (
            (getattr(got, name) - getattr(exact, name)).abs().max() / scale.max().clamp(min=TINY)
        ).item()
        for name, scale in zip(vars(exact), scales, strict=True)
    )
    return largest(errors)


def _linear_space(law: GaussianMixture, x: Tensor) -> Tensor:
    weights = torch.exp(law.log_components(x))
    weights = weights / weights.sum(-1, keepdim=True)
    return torch.einsum("...k,...kd->...d", weights, law.component_scores(x))


def _tiny_weights_dropped(law: GaussianMixture, x: Tensor) -> DensityValues:
    dropped = torch.where(law.log_weights > math.log(1e-7), law.log_weights, -1e300)
    return in_floating_point(replace(law, log_weights=dropped), x)


def _without_normalization(law: GaussianMixture, x: Tensor) -> DensityValues:
    flat = law.log_weights + torch.log(law.variances).sum(-1) / 2
    return in_floating_point(replace(law, log_weights=flat - flat.logsumexp(0)), x)


def _narrowest_ignored(law: GaussianMixture, x: Tensor) -> Tensor:
    wide = law.variances.clamp(min=law.variances.max() * 1e-6)
    return GaussianMixture(law.log_weights, law.means, wide, law.rotations).score(x)


LINE, PLANE = extreme_cases(1), extreme_cases(2)
NARROW_ON_A_SLOPE = ExtremeCase(
    (0.0, 0.0), ((1.0,), (-5.0,)), ((1.0,), (1e3,)), (), TimePair(RectifiedFlow(), 0.25, 0.5), 0, (0.0,)
)  # fmt: skip
"""A component a million times narrower than its neighbour, where the neighbour's density slopes."""

CLAIMS = (
    exact_claim(
        "finite-1d", "0", "density, score, Hessian and kernel are finite", LINE, finite_error,
        score={"linear-space": _linear_space},
    ),
    exact_claim(
        "finite-2d", "0", "the same with near-singular covariances", PLANE, finite_error,
        score={"linear-space-2d": _linear_space},
    ),
    exact_claim(
        "decimals-1d", "0", "density, score and Hessian agree with sixty digits", LINE,
        decimal_error,
        at={
            "single-precision": lambda law, x: in_floating_point(law, x.float().double()),
            "tiny-weights-dropped": _tiny_weights_dropped,
        },
    ),
    exact_claim(
        "decimals-2d", "0", "the same with near-singular covariances", PLANE, decimal_error,
        at={
            "single-precision-2d": lambda law, x: in_floating_point(law, x.float().double()),
            "width-forgotten": _without_normalization,
        },
    ),
    exact_claim(
        "extreme-zero-mean", "1", "E grad log q = 0 at the extremes", LINE, score_mean_error,
        score={"narrow-widened": _narrowest_ignored}, always=(NARROW_ON_A_SLOPE,),
    ),
    exact_claim(
        "extreme-martingale", "1", "E[M_s|x_t] = M_t at the extremes", LINE,
        kernel_expectation_error, process={"extreme-no-alpha": Diffusion.score},
    ),
)  # fmt: skip
