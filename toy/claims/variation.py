"""The quadratic variation of u.M for mixtures of components with covariance v I.

Hess log q_t = -I/c + (alpha^2/c^2) Cov(mu|x_t) is bounded by L_t in norm, and by no less: of two
components L_t is attained, at the point of even odds or far outside. Hence the tail of u.(M_r - M_T)
given x_T, also from a saddle, where L_t exceeds 1/c because of the diameter alone.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from theory.bounds.concentration import hessian_bound, quadratic_variation_tail, variance_proxy
from toy.claims.tails import (
    DEVIATIONS,
    ERRS_LOW,
    HIGH_NOISE,
    LEVEL,
    LOW_NOISE,
    PATHS,
    along,
    diagonal,
    exceedance,
    pair,
    tail,
    times_between,
)
from toy.judge.claim import ExactClaim, Mutant, StatisticalClaim, Trial
from toy.mixtures.diffusion import Diffusion, as_time
from toy.mixtures.mixture import GaussianMixture
from toy.strategies.common_covariance import EQUAL_PAIR, CommonCase, common_cases

Bound = Callable[[Tensor, Tensor, float, float], Tensor]
Posterior = Callable[[GaussianMixture, Tensor], Tensor]
"""From q_t and points (n, d) the weights of the components there, (n, K)."""


def covariance_error(
    case: CommonCase, posterior: Posterior = GaussianMixture.responsibilities, power: int = 2
) -> float:
    """|Hess log q_t + I/c - (alpha^2/c^2) Cov(mu|x)| at all points, relative to its terms."""
    law, means, x = case.law, case.diffusion.data.means, case.points()
    alpha_t, c = case.diffusion.scales(case.times.t)[0], law.variances[0, 0]
    p = posterior(law, x)
    centred = means - (p @ means)[:, None]
    spread = torch.einsum("nk,nki,nkj->nij", p, centred, centred) * alpha_t**power / c**2
    expected = spread - torch.eye(law.dimension, dtype=torch.float64) / c
    size = spread.abs().amax((1, 2)) + 1 / c
    return ((law.hessian(x) - expected).abs().amax((1, 2)) / size).max().item()


def bound_error(case: CommonCase, bound: Bound = hessian_bound) -> float:
    """By how much |Hess log q_t|_op exceeds L_t anywhere; of up to two components, |largest/L_t - 1|."""
    largest = torch.linalg.eigvalsh(case.law.hessian(case.points())).abs().max()
    alpha_t, sigma_t = (as_time(scale) for scale in case.diffusion.scales(case.times.t))
    limit = bound(alpha_t, sigma_t, case.deviation**2, case.diameter)
    ratio = (largest / limit).item() - 1
    return abs(ratio) if len(case.weights) <= 2 else max(ratio, 0.0)


def _prior(law: GaussianMixture, x: Tensor) -> Tensor:
    return law.log_weights.exp().expand(len(x), -1)


@dataclass(frozen=True)
class Shape:
    """Two components, d and how far apart, where paths run, how many, and from where."""

    dimension: int
    diameter: float
    variance: float
    s: float
    t: float
    paths: int
    saddle: bool = False

    @property
    def diffusion(self) -> Diffusion:
        return pair(self.dimension, self.diameter, self.variance)

    def proxy(self, diameter_share: float = 1.0) -> float:
        """V, of a share of the diameter."""
        diameter = diameter_share * self.diameter
        return variance_proxy(self.diffusion.schedule, self.variance, diameter, self.s, self.t)

    def start(self, generator: torch.Generator) -> Tensor:
        """x_T (1, d): the point of even odds, or any."""
        law = self.diffusion.marginal(self.t)
        if not self.saddle:
            return law.sample(generator)
        gap, c = law.means[0] - law.means[1], law.variances[0, 0]
        return (c * (law.log_weights[1] - law.log_weights[0]) * gap / (gap @ gap))[None]


ANYWHERE = (
    Shape(1, 0.0, 1.0, LOW_NOISE, HIGH_NOISE, 4 * PATHS),
    Shape(1, 3.0, 0.3, LOW_NOISE, HIGH_NOISE, PATHS),
    Shape(8, 2.0, 1.0, LOW_NOISE, HIGH_NOISE, PATHS),
)
"""One Gaussian, whose tails far out tell the most; two far components; two close ones in d = 8."""

SADDLES = (
    Shape(1, 10.0, 1.0, 0.29990, 0.3, 4 * PATHS, saddle=True),
    Shape(8, 8.0, 0.5, 0.24990, 0.25, 4 * PATHS, saddle=True),
)
"""L is several times 1/c where they start, and so near it that nearly all of V is used."""

Proxy = Callable[[Shape], float]


def variation_trial(shapes: tuple[Shape, ...], seed: int, proxy: Proxy = Shape.proxy) -> Trial:
    """sup u.(M_r - M_T) from a fixed x_T against exp(-eps^2/(2V)), u from mean to mean."""
    tails = []
    for shape, supremum in zip(shapes, _rises(shapes, seed), strict=True):
        for eps in (z * math.sqrt(shape.proxy()) for z in DEVIATIONS):
            tails.append(tail(supremum, eps, quadratic_variation_tail(eps, proxy(shape))))
    return exceedance(tails)


@lru_cache(maxsize=2)
def _rises(shapes: tuple[Shape, ...], seed: int) -> tuple[Tensor, ...]:
    """For each shape the suprema (n,): a claim and its mutants judge the same paths."""
    generator, rises = torch.Generator().manual_seed(seed), []
    for shape in shapes:
        times = times_between(shape.diffusion, shape.variance, shape.s, shape.t)
        x = shape.start(generator).expand(shape.paths, shape.dimension)
        m = along(shape.diffusion, x, times, Diffusion.martingale, generator)
        m = m @ diagonal(shape.dimension)
        rises.append((m - m[0]).amax(0))
    return tuple(rises)


def _without_alpha(alpha_t: Tensor, sigma_t: Tensor, v: float, diameter: float) -> Tensor:
    return hessian_bound(alpha_t, sigma_t, v, diameter / alpha_t.item())


def _of_diameter(share: float) -> Callable[[CommonCase], float]:
    """The bound with so much of the diameter."""
    return lambda c: bound_error(c, lambda a, s, v, d: hessian_bound(a, s, v, share * d))


def _half(shape: Shape) -> float:
    return shape.proxy() / 2


COMMON = common_cases()

CLAIMS = (
    ExactClaim(
        "hessian-covariance", "2", "Hess log q_t = -I/c + (a^2/c^2) Cov(mu|x_t)", COMMON,
        covariance_error,
        (
            Mutant("prior-covariance", lambda c: covariance_error(c, _prior)),
            Mutant("covariance-alpha-once", lambda c: covariance_error(c, power=1)),
        ),
        always=(EQUAL_PAIR,),
    ),
    ExactClaim(
        "hessian-bound", "2", "|Hess log q_t| <= L_t everywhere, attained by two components", COMMON,
        bound_error,
        (
            Mutant("no-diameter", _of_diameter(0.0)),
            Mutant("half-the-diameter", _of_diameter(0.5)),
            Mutant("half-the-diameter-squared", _of_diameter(2**0.5)),
            Mutant("diameter-without-alpha", lambda c: bound_error(c, _without_alpha)),
        ),
        always=(EQUAL_PAIR,),
    ),
    StatisticalClaim(
        "tails-variation", "2", f"tails of u.(M_r - M_T) along paths, d = 1 and 8 ({ERRS_LOW})",
        LEVEL, lambda seed: variation_trial(ANYWHERE, seed),
        (Mutant("tails-half-variance", lambda seed: variation_trial(ANYWHERE, seed, _half)),),
    ),
    StatisticalClaim(
        "tails-saddle", "2", f"the same from a saddle, where L_t exceeds 1/c ({ERRS_LOW})", LEVEL,
        lambda seed: variation_trial(SADDLES, seed),
        (
            Mutant("saddle-half-variance", lambda seed: variation_trial(SADDLES, seed, _half)),
            Mutant("saddle-no-diameter", lambda seed: variation_trial(
                SADDLES, seed, lambda shape: shape.proxy(0.0))),
            Mutant("saddle-half-diameter", lambda seed: variation_trial(
                SADDLES, seed, lambda shape: shape.proxy(0.5))),
        ),
    ),
)  # fmt: skip
