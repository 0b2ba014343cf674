"""Independent repetitions of an estimate whose truth is known, and exact limits of frequencies.

Units of a repetition are independent images, N(eta, I) or made from such.
"""

import torch
from jaxtyping import Float64
from scipy.stats import binom
from torch import Tensor

from theory.forward.forward_pass import GROUPS
from theory.forward.keyed_noise import keyed_noise
from theory.statistics.moments import Moments
from toy.judge.claim import LEVEL, Trial

IMAGES = 96


def image_noise(
    seed: int, purpose: str, repetition: int, dimension: int, index: int = 0
) -> Float64[Tensor, "n d"]:
    """Standard normal noise for ``IMAGES`` images.

    Args:
        seed: of the run.
        purpose, repetition, index: each triple has noise of its own.
        dimension: d.
    """
    images = torch.arange(IMAGES)
    return keyed_noise(seed, purpose, index, repetition, images, (dimension,))


def moments(units: Float64[Tensor, "n d"]) -> Moments:
    """Moments of units of images, which are dealt to groups in turn."""
    result = Moments.empty(tuple(units.shape[1:]), GROUPS)
    result.add_(torch.arange(len(units)) % GROUPS, units)
    return result


def at_most(count: int, repetitions: int, probability: float) -> Trial:
    """A count in units of the largest that an event of so small a probability allows at ``LEVEL``."""
    return Trial(count / float(binom.isf(LEVEL, repetitions, probability)), repetitions)


def as_often_as(count: int, repetitions: int, probability: float) -> Trial:
    """A count's distance from what is expected, in units of that of its two-sided limit at ``LEVEL``."""
    expected = repetitions * probability
    limit = binom.isf if count > expected else binom.ppf
    distance = float(limit(LEVEL / 2, repetitions, probability)) - expected
    return Trial((count - expected) / distance, repetitions)
