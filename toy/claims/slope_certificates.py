"""Certificates of order 1 where the truth is known.

Pixels are N(0, 1), so that x_t is, and the network is y_theta = (sigma + kappa) x_t + w z with noise
z of its own. Its error kappa x_t + w z is affine in (x_t, y_theta) and as large as the noise of its
estimate, and the gain of any slopes is known in closed form.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from scipy.stats import t as student
from torch import Tensor

from theory.estimators.affine_sums import AffineSums
from theory.estimators.slope_fit import chosen_by_others, fit_slopes
from theory.estimators.slope_statistics import SlopeStatistics
from theory.estimators.slopes import Slopes
from theory.forward.forward_pass import GROUPS, Observation
from theory.forward.keyed_noise import keyed_noise
from theory.statistics.image_bases import by_pixel
from theory.statistics.intervals import LEVEL as CONFIDENCE
from theory.statistics.least_squares import explained_variance
from theory.statistics.shrinkage import SHRUNK
from toy.claims.repetitions import IMAGES, at_most
from toy.judge.claim import LEVEL, Trial, statistical_claim
from toy.mixtures.mixture import float64

SHAPE = (2, 2, 2)
CANDIDATES, CHOICES = 10, 2000
SIGMAS = (0.3, 0.6, 0.9)
KAPPA, OWN = 0.05, 0.1


@dataclass(frozen=True, eq=False)
class FittedSlopes:
    """Order 1 fitted to some images, its true gains, and its gains on these images.

    ``left_out`` are those on each group of images, as all others would have made it, (G, T).
    """

    slopes: Slopes
    gains: Tensor
    own_gains: Tensor
    left_out: Tensor


def slope_certificates(
    seed: int, bound: Callable[[FittedSlopes], Tensor] = lambda found: found.slopes.certificates
) -> Trial:
    """How often any certificate exceeds its true gain: at most one time in twenty."""

    def missed(repetition: int) -> bool:
        """Whether any does in this repetition."""
        found = _repetition(seed, repetition)
        return bool((bound(found) > found.gains).any())

    return at_most(missed, 1 - CONFIDENCE)


def _expected_at_last(found: FittedSlopes) -> Tensor:
    """The expected gain in place of its bound at the last time alone."""
    return torch.cat([found.slopes.certificates[:-1], found.slopes.gains[-1:]])


def choice_bias(seed: int, chosen: Callable[[Tensor], Tensor] = chosen_by_others) -> Trial:
    """Student's test that the left-out gain of the best of many useless candidates has mean zero.

    Their gains on the groups are standard normal. The repetitions take the place of the times.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (CANDIDATES, GROUPS, CHOICES)
    gains = chosen(torch.randn(shape, generator=generator, dtype=torch.float64)).mean(0)
    deviation = gains.mean().abs() / (gains.std() / CHOICES**0.5)
    return Trial(deviation.item() / float(student.isf(LEVEL / 2, CHOICES - 1)), CHOICES)


def _chosen_by_all(gains: Tensor) -> Tensor:
    best = gains.sum(1, keepdim=True).argmax(0, keepdim=True)
    return gains.gather(0, best.expand_as(gains[:1]))[0]


@lru_cache(maxsize=8000)
def _repetition(seed: int, repetition: int) -> FittedSlopes:
    """The slopes of a repetition; kept, as the claim and its mutants share them."""
    sums = [_sums(seed, repetition, k) for k in range(len(SIGMAS))]
    sigmas = float64(SIGMAS)
    log_snr = torch.log(1 / sigmas**2 - 1)
    centres = torch.zeros(len(SIGMAS), 3, torch.Size(SHAPE).numel(), dtype=torch.float64)
    used = torch.ones(GROUPS, dtype=torch.bool)
    statistics = [SlopeStatistics.of(s, used, float(IMAGES), in_file=False) for s in sums]
    slopes, left_out = fit_slopes(statistics, log_snr, SHRUNK, len(SIGMAS))
    fitted = slopes.pixel.flatten(2)
    cells = by_pixel(SHAPE)
    own = torch.stack([s.centred(c, cells).mean(0) for s, c in zip(sums, centres, strict=True)])
    truth = torch.stack([_products(sigma) for sigma in SIGMAS])
    return FittedSlopes(
        slopes, explained_variance(fitted, truth), explained_variance(fitted, own), left_out
    )


def _sums(seed: int, repetition: int, k: int) -> AffineSums:
    sigma = SIGMAS[k]
    x_0, e, z = (
        keyed_noise(seed, purpose, k, repetition, torch.arange(IMAGES), SHAPE)
        for purpose in ("x_0", "e", "z")
    )
    alpha = (1 - sigma**2) ** 0.5
    prediction = (sigma + KAPPA) * (alpha * x_0 + sigma * e) + OWN * z
    sums = AffineSums(SHAPE)
    sums.add_(
        Observation(
            k, torch.arange(IMAGES) % GROUPS, x_0, e[None], prediction[None], 0.0, 1.0, alpha, sigma
        )
    )
    return sums


def _products(sigma: float) -> Tensor:
    """True products of x_t, y_theta and the residual, of every pixel, (6, d)."""
    slope, d = sigma + KAPPA, torch.Size(SHAPE).numel()
    own = KAPPA**2 + OWN**2
    of_pixel = [1.0, slope, slope**2 + OWN**2, KAPPA, slope * KAPPA + OWN**2, own + 1 - sigma**2]
    return float64(of_pixel)[:, None].expand(6, d)


CLAIMS = (
    statistical_claim(
        "slopes-certificate", "8", "certificates of order 1 hold together 95 times in 100",
        slope_certificates,
        asymptotic=True, bound={
            "gain-on-its-own-images": lambda found: found.own_gains,
            "expected-gain": lambda found: found.slopes.gains,
            "expected-gain-of-the-last": _expected_at_last,
        },
    ),
    statistical_claim(
        "choice-bias", "8", "the gain of a choice made by all other groups has no bias",
        choice_bias, asymptotic=True, chosen={"choice-not-nested": _chosen_by_all},
    ),
)  # fmt: skip
