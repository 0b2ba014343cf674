"""Numerical honesty: nothing is NaN, and nothing goes wrong, on mixtures that are hard to compute.

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
from toy.judge.claim import ExactClaim, Mutant
from toy.mixtures.mixture import GaussianMixture
from toy.numerics.decimals import Values, values_at
from toy.numerics.quadrature import expectation
from toy.strategies import extremes
from toy.strategies.extremes import ExtremeCase
from toy.strategies.mixtures import TimePair

Score = Callable[[GaussianMixture, Tensor], Tensor]

MOST_POINTS = 2**20
"""The score of the law itself took no more in any case seen; that of another law may never settle."""


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

    It is moved to where the narrowest component is: far from zero, x would lose the digits of that.
    """
    law = case.mixture()
    law = replace(law, means=law.means - law.means[law.variances[:, 0].argmin()])
    integral = expectation(law, lambda x: score(law, x), most=MOST_POINTS)
    return (integral.value.abs() / integral.magnitude).max().item()


def martingale_error(case: ExtremeCase, power: int = 1) -> float:
    """|E[M_s|x_t] - M_t| relative to E[|M_s||x_t] and to the rounding of x_t."""
    diffusion, s, t, x_t = case.diffusion, case.times.s, case.times.t, case.x_t()
    kernel = diffusion.reverse_kernel(x_t, s, t)

    def scaled(x: Tensor, r: float) -> Tensor:
        return diffusion.scales(r)[0] ** power * diffusion.marginal(r).score(x)

    integral = expectation(kernel, lambda x: scaled(x, s))
    difference = (integral.value - scaled(x_t, t)).abs()
    return (difference / (integral.magnitude + 1e-300)).max().item()


At = Callable[[GaussianMixture, Tensor], Values]


def in_floating_point(law: GaussianMixture, x: Tensor) -> Values:
    """The mixture's own density and derivatives."""
    return Values(law.log_density(x), law.responsibilities(x), law.score(x), law.hessian(x))


def decimal_error(case: ExtremeCase, at: At = in_floating_point) -> float:
    """Density and derivatives at x_t against decimal arithmetic, relative to what rounding can do.

    An error of one part in x - m makes one of ``lost`` in the logarithm of a component, and one of
    ``spread`` in its score: first-order changes of each value are what its error is divided by.
    """
    law, x = case.diffusion.marginal(case.times.t), case.x_t()
    got, exact = at(law, x), values_at(law, x)
    turns = torch.eye(law.dimension).double() if law.rotations is None else law.rotations.abs()
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
            (getattr(got, name) - getattr(exact, name)).abs().max() / scale.max().clamp(min=1e-300)
        ).item()
        for name, scale in zip(vars(exact), scales, strict=True)
    )
    return max(errors, key=lambda error: math.inf if math.isnan(error) else error)


def _linear_space(law: GaussianMixture, x: Tensor) -> Tensor:
    weights = torch.exp(law.log_components(x))
    weights = weights / weights.sum(-1, keepdim=True)
    return torch.einsum("...k,...kd->...d", weights, law.component_scores(x))


def _in_single_precision(law: GaussianMixture, x: Tensor) -> Values:
    return in_floating_point(law, x.float().double())


def _tiny_weights_dropped(law: GaussianMixture, x: Tensor) -> Values:
    dropped = torch.where(law.log_weights > math.log(1e-7), law.log_weights, -1e300)
    return in_floating_point(replace(law, log_weights=dropped), x)


def _without_normalization(law: GaussianMixture, x: Tensor) -> Values:
    flat = law.log_weights + torch.log(law.variances).sum(-1) / 2
    return in_floating_point(replace(law, log_weights=flat - flat.logsumexp(0)), x)


def _narrowest_ignored(law: GaussianMixture, x: Tensor) -> Tensor:
    wide = law.variances.clamp(min=law.variances.max() * 1e-6)
    return GaussianMixture(law.log_weights, law.means, wide, law.rotations).score(x)


LINE, PLANE = extremes.extreme_cases(1), extremes.extreme_cases(2)
NARROW_ON_A_SLOPE = ExtremeCase(
    (0.0, 0.0),
    ((1.0,), (-5.0,)),
    ((1.0,), (1e3,)),
    (),
    TimePair(RectifiedFlow(), 0.25, 0.5),
    0,
    (0.0,),
)
"""A component a million times narrower than its neighbour, where the neighbour's density slopes."""

CLAIMS = (
    ExactClaim(
        "finite-1d", "0", "density, score, Hessian and kernel are finite", LINE, finite_error,
        (Mutant("linear-space", lambda c: finite_error(c, _linear_space)),),
    ),
    ExactClaim(
        "finite-2d", "0", "the same with near-singular covariances", PLANE, finite_error,
        (Mutant("linear-space-2d", lambda c: finite_error(c, _linear_space)),),
    ),
    ExactClaim(
        "decimals-1d", "0", "density, score and Hessian agree with sixty digits", LINE,
        decimal_error,
        (
            Mutant("single-precision", lambda c: decimal_error(c, _in_single_precision)),
            Mutant("tiny-weights-dropped", lambda c: decimal_error(c, _tiny_weights_dropped)),
        ),
    ),
    ExactClaim(
        "decimals-2d", "0", "the same with near-singular covariances", PLANE, decimal_error,
        (
            Mutant("single-precision-2d", lambda c: decimal_error(c, _in_single_precision)),
            Mutant("width-forgotten", lambda c: decimal_error(c, _without_normalization)),
        ),
    ),
    ExactClaim(
        "extreme-zero-mean", "1", "E grad log q = 0 at the extremes", LINE, score_mean_error,
        (Mutant("narrow-widened", lambda c: score_mean_error(c, _narrowest_ignored)),),
        always=(NARROW_ON_A_SLOPE,),
    ),
    ExactClaim(
        "extreme-martingale", "1", "E[M_s|x_t] = M_t at the extremes", LINE, martingale_error,
        (Mutant("extreme-no-alpha", lambda c: martingale_error(c, power=0)),),
    ),
)  # fmt: skip
