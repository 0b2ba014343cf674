"""Numerical honesty: nothing is NaN, and nothing goes wrong, on mixtures that are hard to compute.

Deviations from 1e-5 to 1e3 in one mixture, weights down to 1e-12, means that coincide or lie a
thousand deviations out, covariances whose axes differ by a factor of 1e8.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from toy import extremes
from toy.claims.base import ExactClaim, Mutant
from toy.extremes import ExtremeCase
from toy.mixture import GaussianMixture
from toy.quadrature import expectation

Score = Callable[[GaussianMixture, Tensor], Tensor]


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
    """|E grad log q| relative to E|grad log q|, under the mixture itself, no noise added."""
    law = case.mixture()
    integral = expectation(law, lambda x: score(law, x))
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


def _linear_space(law: GaussianMixture, x: Tensor) -> Tensor:
    weights = torch.exp(law.log_components(x))
    weights = weights / weights.sum(-1, keepdim=True)
    return torch.einsum("...k,...kd->...d", weights, law.component_scores(x))


def _narrowest_ignored(law: GaussianMixture, x: Tensor) -> Tensor:
    wide = law.variances.clamp(min=law.variances.max() * 1e-6)
    return GaussianMixture(law.log_weights, law.means, wide, law.rotations).score(x)


LINE, PLANE = extremes.extreme_cases(1), extremes.extreme_cases(2)

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
        "extreme-zero-mean", "1", "E grad log q = 0 at the extremes", LINE, score_mean_error,
        (Mutant("narrow-widened", lambda c: score_mean_error(c, _narrowest_ignored)),),
    ),
    ExactClaim(
        "extreme-martingale", "1", "E[M_s|x_t] = M_t at the extremes", LINE, martingale_error,
        (Mutant("extreme-no-alpha", lambda c: martingale_error(c, power=0)),),
    ),
)  # fmt: skip
