"""Certificates of order 1 where the truth is known.

Pixels are N(0, 1), so that x_t is, and the network is y_theta = (sigma + kappa) x_t + w z with noise
z of its own. Its error kappa x_t + w z is affine in (x_t, y_theta) and as large as the noise of its
estimate, and the gain of any slopes is known in closed form.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from theory.estimators.affine_sums import AffineSums
from theory.estimators.slope_fit import fit_slopes
from theory.estimators.slopes import Slopes
from theory.forward.forward_pass import GROUPS, Observation
from theory.forward.keyed_noise import keyed_noise
from theory.statistics.image_bases import by_pixel
from theory.statistics.intervals import LEVEL as CONFIDENCE
from theory.statistics.least_squares import explained_variance
from theory.statistics.shrinkage import SHRUNK
from toy.claims.repetitions import IMAGES, at_most
from toy.judge.claim import Trial, statistical_claim
from toy.mixtures.mixture import float64

SHAPE, REPETITIONS = (2, 2, 2), 100
SIGMAS = (0.3, 0.6, 0.9)
KAPPA, OWN = 0.05, 0.1


@dataclass(frozen=True, eq=False)
class FittedSlopes:
    """Order 1 fitted to some images, its true gains, and its gains on these images."""

    slopes: Slopes
    gains: Tensor
    own_gains: Tensor


def slope_certificates(
    seed: int, bound: Callable[[FittedSlopes], Tensor] = lambda found: found.slopes.certificates
) -> Trial:
    """How often any certificate exceeds its true gain: at most one time in twenty."""
    missed = sum(bool((bound(found) > found.gains).any()) for found in _found(seed))
    return at_most(missed, REPETITIONS, 1 - CONFIDENCE)


@lru_cache(maxsize=2)
def _found(seed: int) -> tuple[FittedSlopes, ...]:
    """Those of every repetition; kept, as the claim and its mutants share them."""
    return tuple(_repetition(seed, r) for r in range(REPETITIONS))


def _repetition(seed: int, repetition: int) -> FittedSlopes:
    sums = [_sums(seed, repetition, k) for k in range(len(SIGMAS))]
    sigmas = float64(SIGMAS)
    log_snr = torch.log(1 / sigmas**2 - 1)
    centres = torch.zeros(len(SIGMAS), 3, torch.Size(SHAPE).numel(), dtype=torch.float64)
    slopes, _ = fit_slopes(sums, centres, log_snr, SHRUNK, len(SIGMAS))
    fitted = slopes.pixel.flatten(2)
    cells = by_pixel(SHAPE)
    own = torch.stack([s.centred(c, cells).mean(0) for s, c in zip(sums, centres, strict=True)])
    truth = torch.stack([_products(sigma) for sigma in SIGMAS])
    return FittedSlopes(slopes, explained_variance(fitted, truth), explained_variance(fitted, own))


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
        bound={
            "gain-on-its-own-images": lambda found: found.own_gains,
            "expected-gain": lambda found: found.slopes.gains,
        },
    ),
)  # fmt: skip
