"""Every interval covers as often as it says, no less and no more, over repetitions with known truth.

Intervals are asymptotic in the number of images, so signals here are well above their noise; where
they are not the intervals are wider than they need be, which is no harm and not looked at. The
number of misses is held against exact binomial limits on both sides.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from scipy.stats import binom
from torch import Tensor

from theory.forward.forward_pass import GROUPS
from theory.forward.keyed_noise import keyed_noise
from theory.statistics.intervals import LEVEL as CONFIDENCE
from theory.statistics.intervals import Estimate
from theory.statistics.moments import Contrast, Moments
from toy.judge.claim import Mutant, StatisticalClaim, Trial

LEVEL = 1e-8
DIMENSION, IMAGES, REPETITIONS = 8, 96, 2000
ETA = torch.full((DIMENSION,), 0.5, dtype=torch.float64)


def _draw(seed: int, purpose: str, repetition: int, draw: int = 0) -> Tensor:
    return keyed_noise(seed, purpose, draw, repetition, torch.arange(IMAGES), (DIMENSION,))


def _moments(units: Tensor) -> Moments:
    moments = Moments.empty((DIMENSION,), GROUPS)
    moments.add_(torch.arange(IMAGES) % GROUPS, units)
    return moments


def _two_sided(truth: float, estimates: list[Estimate]) -> Trial:
    """Misses against the binomial limits, in units of the distance from what is expected to them."""
    n = len(estimates)
    missed = sum(not e.lower <= truth <= e.upper for e in estimates)
    expected = n * (1 - CONFIDENCE)
    low = float(binom.ppf(LEVEL / 2, n, 1 - CONFIDENCE))
    high = float(binom.isf(LEVEL / 2, n, 1 - CONFIDENCE))
    limit = high if missed > expected else low
    return Trial((missed - expected) / (limit - expected), n)


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    value = estimate.value
    return Estimate(
        value, value + factor * (estimate.lower - value), value + factor * (estimate.upper - value)
    )


def of_population(seed: int, factor: float = 1.0) -> Trial:
    """|eta|^2 of a population, from a new sample of images each time."""
    found = [
        _scaled(_moments(ETA + _draw(seed, "population", r)).squared_norm(), factor)
        for r in range(REPETITIONS)
    ]
    return _two_sided(ETA.square().sum().item(), found)


def _set_norm(moments: Moments) -> Estimate:
    return moments.squared_norm_of_set()


def _population_norm(moments: Moments) -> Estimate:
    return moments.squared_norm()


def of_set(seed: int, estimate: Callable[[Moments], Estimate] = _set_norm) -> Trial:
    """|eta|^2 of one set of images that differ much, from new noise each time, two draws each."""
    images = ETA + 2 * _draw(seed, "images", 0)
    found = []
    for r in range(REPETITIONS):
        first, second = (images + _draw(seed, "set", r, draw) for draw in (0, 1))
        contrast = _moments((first - second) / 2)
        moments = replace(
            _moments((first + second) / 2), contrast=Contrast(contrast.total, contrast.square)
        )
        found.append(estimate(moments))
    return _two_sided(images.mean(0).square().sum().item(), found)


def _images_as_units(gains: Tensor) -> Estimate:
    return Estimate.of_mean(gains.mean(0))


def _draws_as_units(gains: Tensor) -> Estimate:
    return Estimate.of_mean(gains.flatten())


def of_gain(seed: int, estimate: Callable[[Tensor], Estimate] = _images_as_units) -> Trial:
    """Held-out gain 2 s.r - |s|^2 of a shift s, four draws on each image, which share the image."""
    shift = 0.8 * ETA
    found = []
    for r in range(REPETITIONS):
        images = ETA + _draw(seed, "held-out images", r)
        residuals = torch.stack([images + _draw(seed, "draws", r, draw) for draw in range(4)])
        found.append(estimate(2 * residuals @ shift - shift.square().sum()))
    return _two_sided((2 * shift @ ETA - shift.square().sum()).item(), found)


CLAIMS = (
    StatisticalClaim(
        "population-interval", "7", "the interval of |eta|^2 covers 95 times in 100", LEVEL,
        of_population,
        (
            Mutant("half-as-wide", lambda seed: of_population(seed, 0.5)),
            Mutant("twice-as-wide", lambda seed: of_population(seed, 2.0)),
        ),
    ),
    StatisticalClaim(
        "set-interval", "7", "that of these very images covers 95 times in 100", LEVEL, of_set,
        (Mutant("images-as-a-sample", lambda seed: of_set(seed, _population_norm)),),
    ),
    StatisticalClaim(
        "gain-interval", "7", "that of a held-out gain covers 95 times in 100", LEVEL, of_gain,
        (Mutant("draws-as-units", lambda seed: of_gain(seed, _draws_as_units)),),
    ),
)  # fmt: skip
