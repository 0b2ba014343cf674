"""The quadratic variation of u.M for mixtures of components with covariance v I.

Hess log q_t = -I/c + (alpha^2/c^2) Cov(mu|x_t) has a norm of at most L_t, and two components attain
that, at the point of even odds or far outside. This bounds the tail of u.(M_r - M_T) given x_T, also
from a saddle, where L_t exceeds 1/c because of the diameter alone.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import torch
from torch import Tensor

from theory.bounds.concentration import hessian_bound, quadratic_variation_tail, variance_proxy
from toy.claims.tail_frequencies import (
    DEVIATIONS,
    ERRS_LOW,
    HIGH_NOISE,
    LOW_NOISE,
    PATHS,
    clock_grid,
    exceedance,
)
from toy.judge.claim import Trial, exact_claim, statistical_claim
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.mixtures.reverse_paths import two_components, values_along_paths
from toy.numerics.relative_errors import largest
from toy.strategies.common_covariance import (
    EQUAL_PAIR,
    CommonCovarianceCase,
    common_covariance_cases,
)

HessianBound = Callable[[Tensor, Tensor, float, float], Tensor]
"""From alpha, sigma, v and the diameter to L_t."""


def covariance_error(
    case: CommonCovarianceCase,
    posterior: Callable[[GaussianMixture, Tensor], Tensor] = GaussianMixture.responsibilities,
    power: int = 2,
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


def hessian_bound_error(case: CommonCovarianceCase, bound: HessianBound = hessian_bound) -> float:
    """By how much |Hess log q_t|_op exceeds L_t at any point; for up to two components, |ratio - 1|."""
    norm = torch.linalg.eigvalsh(case.law.hessian(case.points())).abs().max()
    alpha_t, sigma_t = (float64(scale) for scale in case.diffusion.scales(case.times.t))
    limit = bound(alpha_t, sigma_t, case.deviation**2, case.diameter)
    ratio = (norm / limit).item() - 1
    return abs(ratio) if len(case.weights) <= 2 else largest([ratio, 0.0])


@dataclass(frozen=True)
class PathSetting:
    """Paths on two components of one variance.

    Attributes:
        dimension, diameter, variance: of the data.
        s, t: the times between which the paths run.
        paths: how many.
        saddle: whether they start at the point of even odds, or at a point drawn from q_t.
    """

    dimension: int
    diameter: float
    variance: float
    s: float
    t: float
    paths: int
    saddle: bool = False

    @cached_property
    def diffusion(self) -> Diffusion:
        """The diffusion of the two components."""
        return two_components(self.dimension, self.diameter, self.variance)

    def proxy(self, diameter_share: float = 1.0) -> float:
        """V for a share of the diameter."""
        diameter = diameter_share * self.diameter
        return variance_proxy(self.diffusion.schedule, self.variance, diameter, self.s, self.t)

    def start(self, generator: torch.Generator) -> Tensor:
        """x_T, (1, d)."""
        law = self.diffusion.marginal(self.t)
        if not self.saddle:
            return law.sample(generator)
        gap, c = law.means[0] - law.means[1], law.variances[0, 0]
        return (c * (law.log_weights[1] - law.log_weights[0]) * gap / (gap @ gap))[None]


ANYWHERE = (
    PathSetting(1, 0.0, 1.0, LOW_NOISE, HIGH_NOISE, 4 * PATHS),
    PathSetting(1, 3.0, 0.3, LOW_NOISE, HIGH_NOISE, PATHS),
    PathSetting(8, 2.0, 1.0, LOW_NOISE, HIGH_NOISE, PATHS),
)
"""One Gaussian, with enough paths to see its tails; two far components; two close ones in d = 8."""

SADDLES = (
    PathSetting(1, 10.0, 1.0, 0.29990, 0.3, 4 * PATHS, saddle=True),
    PathSetting(8, 8.0, 0.5, 0.24990, 0.25, 4 * PATHS, saddle=True),
)
"""L is several times 1/c where they start, and so near it that nearly all of V is used."""


def variation_trial(
    seed: int,
    settings: tuple[PathSetting, ...],
    proxy: Callable[[PathSetting], float] = PathSetting.proxy,
) -> Trial:
    """sup u.(M_r - M_T) from a fixed x_T against exp(-eps^2/(2V)), u from mean to mean."""
    tails = []
    for setting, supremum in zip(settings, _suprema(settings, seed), strict=True):
        for eps in (z * math.sqrt(setting.proxy()) for z in DEVIATIONS):
            tails.append((supremum, eps, quadratic_variation_tail(eps, proxy(setting))))
    return exceedance(tails)


@lru_cache(maxsize=2)
def _suprema(settings: tuple[PathSetting, ...], seed: int) -> tuple[Tensor, ...]:
    """For each setting the suprema (n,); kept, as a claim and its mutants share the paths."""
    generator, suprema = torch.Generator().manual_seed(seed), []
    for setting in settings:
        diffusion, d = setting.diffusion, setting.dimension
        times = clock_grid(diffusion, setting.variance, setting.s, setting.t)
        x = setting.start(generator).expand(setting.paths, d)
        m = values_along_paths(diffusion, x, times, diffusion.martingale, generator)
        m = m @ torch.full((d,), 1 / math.sqrt(d), dtype=torch.float64)
        suprema.append((m - m[0]).amax(0))
    return tuple(suprema)


def _without_alpha(alpha_t: Tensor, sigma_t: Tensor, v: float, diameter: float) -> Tensor:
    return hessian_bound(alpha_t, sigma_t, v, diameter / alpha_t.item())


def _of_diameter(share: float) -> HessianBound:
    """The bound for a share of the diameter."""
    return lambda a, s, v, diameter: hessian_bound(a, s, v, share * diameter)


COMMON = common_covariance_cases()
from_anywhere = partial(variation_trial, settings=ANYWHERE)
from_saddles = partial(variation_trial, settings=SADDLES)

CLAIMS = (
    exact_claim(
        "hessian-covariance", "2", "Hess log q_t = -I/c + (a^2/c^2) Cov(mu|x_t)", COMMON,
        covariance_error,
        posterior={"prior-covariance": lambda law, x: law.log_weights.exp().expand(len(x), -1)},
        power={"covariance-alpha-once": 1}, always=(EQUAL_PAIR,),
    ),
    exact_claim(
        "hessian-bound", "2", "|Hess log q_t| <= L_t everywhere, attained by two components",
        COMMON, hessian_bound_error,
        bound={
            "no-diameter": _of_diameter(0.0), "half-the-diameter": _of_diameter(0.5),
            "half-the-diameter-squared": _of_diameter(2**0.5),
            "diameter-without-alpha": _without_alpha,
        },
        always=(EQUAL_PAIR,),
    ),
    statistical_claim(
        "tails-variation", "2", f"tails of u.(M_r - M_T) along paths, d = 1 and 8 ({ERRS_LOW})",
        from_anywhere, proxy={"tails-half-variance": lambda setting: setting.proxy() / 2},
    ),
    statistical_claim(
        "tails-saddle", "2", f"the same from a saddle, where L_t exceeds 1/c ({ERRS_LOW})",
        from_saddles,
        proxy={
            "saddle-half-variance": lambda setting: setting.proxy() / 2,
            "saddle-no-diameter": lambda setting: setting.proxy(0.0),
            "saddle-half-diameter": lambda setting: setting.proxy(0.5),
        },
    ),
)  # fmt: skip
