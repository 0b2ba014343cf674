"""Independent repetitions of an estimate whose truth is known, and exact limits of frequencies.

Units of a repetition are independent images, N(eta, I) or made from such.
"""

import itertools
import math
from collections.abc import Callable
from functools import lru_cache

import torch
from jaxtyping import Float64
from scipy.stats import binom
from torch import Tensor

from theory.forward.forward_pass import GROUPS
from theory.forward.keyed_noise import keyed_noise
from theory.statistics.intervals import Estimate
from theory.statistics.moments import Moments
from toy.judge.claim import LEVEL, Trial

IMAGES = 96

BLOCK = 50
"""Repetitions whose noise is drawn together."""

PASSED_WRONGLY = 1e-6
"""Probability with which what happens twice as often as it may passes."""


def image_noise(
    seed: int, purpose: str, repetition: int, dimension: int, index: int = 0
) -> Float64[Tensor, "n d"]:
    """Standard normal noise for ``IMAGES`` images.

    Args:
        seed: of the run.
        purpose, repetition, index: each triple has noise of its own.
        dimension: d.
    """
    block, own = divmod(repetition, BLOCK)
    return _noise_of_block(seed, purpose, block, dimension, index)[own]


@lru_cache(maxsize=16)
def _noise_of_block(
    seed: int, purpose: str, block: int, dimension: int, index: int
) -> Float64[Tensor, "repetition n d"]:
    """The noise of ``BLOCK`` repetitions, drawn at once: a draw costs more than its numbers."""
    images = torch.arange(BLOCK * IMAGES)
    noise = keyed_noise(seed, purpose, index, block, images, (dimension,))
    return noise.reshape(BLOCK, IMAGES, dimension)


def moments(units: Float64[Tensor, "n d"]) -> Moments:
    """Moments of units of images, which are dealt to groups in turn."""
    result = Moments.empty(tuple(units.shape[1:]), GROUPS)
    result.add_(torch.arange(len(units)) % GROUPS, units)
    return result


def scaled(estimate: Estimate, factors: tuple[float, float]) -> Estimate:
    """Both ends nearer to the value, or farther from it."""
    value, (below, above) = estimate.value, factors
    return Estimate(
        value, value + below * (estimate.lower - value), value + above * (estimate.upper - value)
    )


def at_most(happened: Callable[[int], bool], probability: float) -> Trial:
    """Wald's sequential test that an event has at most this probability in independent repetitions.

    The likelihood ratio of twice the probability to it,

        prod_i 2 if the event happened, else (1 - 2 p)/(1 - p),

    is a nonnegative supermartingale if it has; by Ville's inequality it ever reaches 1/``LEVEL`` with
    probability ``LEVEL`` at most. If it has twice the probability or more, the inverse is one, and
    the ratio ever falls to ``PASSED_WRONGLY`` with that probability at most. Wald, "Sequential Tests
    of Statistical Hypotheses" (1945).

    Args:
        happened: of the number of a repetition; they are made until either is reached.
        probability: p, below 1/2.
    """
    log_ratio, refuted = 0.0, -math.log(LEVEL)
    rise, fall = math.log(2), math.log((1 - 2 * probability) / (1 - probability))
    for repetition in itertools.count():
        log_ratio += rise if happened(repetition) else fall
        if not math.log(PASSED_WRONGLY) < log_ratio < refuted:
            break
    return Trial(max(0.0, log_ratio) / refuted, repetition + 1)


def as_often_as(count: int, repetitions: int, probability: float) -> Trial:
    """A count's distance from what is expected, in units of that of its two-sided limit at ``LEVEL``."""
    expected = repetitions * probability
    limit = binom.isf if count > expected else binom.ppf
    distance = float(limit(LEVEL / 2, repetitions, probability)) - expected
    return Trial((count - expected) / distance, repetitions)
