"""Intervals cover as often as they say, no less and no more, over repetitions with known truth.

Intervals are asymptotic in the number of images, so signals here are well above their noise. Where
they are not, the intervals are wider than they need be, which does no harm and is not tested.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from theory.statistics.intervals import LEVEL as CONFIDENCE
from theory.statistics.intervals import Estimate
from theory.statistics.moments import Contrast, Moments
from toy.claims.repetitions import as_often_as, image_noise, moments, scaled
from toy.judge.claim import Trial, statistical_claim

DIMENSION, REPETITIONS = 8, 3000
ETA = torch.full((DIMENSION,), 0.5, dtype=torch.float64)
SHIFT = 0.8 * ETA


def _draw(seed: int, purpose: str, repetition: int, index: int = 0) -> Tensor:
    return image_noise(seed, purpose, repetition, DIMENSION, index)


def _coverage(truth: float, estimates: list[Estimate]) -> Trial:
    """How often the intervals miss the truth, against how often they should."""
    missed = sum(not e.lower <= truth <= e.upper for e in estimates)
    return as_often_as(missed, len(estimates), 1 - CONFIDENCE)


def population_coverage(seed: int, factors: tuple[float, float] = (1.0, 1.0)) -> Trial:
    """|eta|^2 of a population, from a new sample of images each time."""
    found = [scaled(estimate, factors) for estimate in _of_populations(seed)]
    return _coverage(ETA.square().sum().item(), found)


@cache
def _of_populations(seed: int) -> list[Estimate]:
    """The estimates; kept, as the claim and its mutants share them."""
    samples = (moments(ETA + _draw(seed, "population", r)) for r in range(REPETITIONS))
    return [sample.squared_norm() for sample in samples]


def set_coverage(
    seed: int, estimate: Callable[[Moments], Estimate] = Moments.squared_norm_of_set
) -> Trial:
    """|eta|^2 of one set of images that differ much, from new noise each time, two draws each."""
    images, noised = _set_of_images(seed)
    return _coverage(images.mean(0).square().sum().item(), [estimate(both) for both in noised])


@cache
def _set_of_images(seed: int) -> tuple[Tensor, list[Moments]]:
    """The images, and the moments from each repetition's noise; kept, as the mutant shares them."""
    images = ETA + 2 * _draw(seed, "images", 0)
    noised = []
    for r in range(REPETITIONS):
        first, second = (images + _draw(seed, "set", r, index) for index in (0, 1))
        contrast = moments((first - second) / 2)
        both = moments((first + second) / 2)
        noised.append(replace(both, contrast=Contrast(contrast.total, contrast.square)))
    return images, noised


def gain_coverage(
    seed: int,
    estimate: Callable[[Tensor], Estimate] = lambda gains: Estimate.of_mean(gains.mean(0)),
) -> Trial:
    """Held-out gain 2 s.r - |s|^2 of a shift s, four draws on each image, which share the image."""
    found = [estimate(gains) for gains in _held_out_gains(seed)]
    return _coverage((2 * SHIFT @ ETA - SHIFT.square().sum()).item(), found)


@cache
def _held_out_gains(seed: int) -> list[Tensor]:
    """The gains of every draw and image, (4, n), in each repetition; kept, as the mutant shares them."""
    gains = []
    for r in range(REPETITIONS):
        images = ETA + _draw(seed, "held-out images", r)
        residuals = torch.stack([images + _draw(seed, "draws", r, index) for index in range(4)])
        gains.append(2 * residuals @ SHIFT - SHIFT.square().sum())
    return gains


CLAIMS = (
    statistical_claim(
        "population-interval", "7", "the interval of |eta|^2 covers 95 times in 100",
        population_coverage, asymptotic=True, factors={
            "half-as-wide": (0.5, 0.5), "twice-as-wide": (2.0, 2.0),
            "half-as-far-below": (0.5, 1.0), "half-as-far-above": (1.0, 0.5),
        },
    ),
    statistical_claim(
        "set-interval", "7", "that of these very images covers 95 times in 100", set_coverage,
        asymptotic=True, estimate={"images-as-a-sample": Moments.squared_norm},
    ),
    statistical_claim(
        "gain-interval", "7", "that of a held-out gain covers 95 times in 100", gain_coverage,
        asymptotic=True, estimate={"draws-as-units": lambda gains: Estimate.of_mean(gains.flatten())},
    ),
)  # fmt: skip
