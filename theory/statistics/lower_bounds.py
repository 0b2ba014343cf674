"""Lower confidence bounds that hold together, from gains on groups of images that were left out."""

import math

import torch
from jaxtyping import Float64
from scipy.stats import t as student
from torch import Tensor

from theory.statistics.intervals import LEVEL

LEAST_GROUPS = 3
"""With fewer groups of images nothing is certain."""


def lower_bounds(
    gains: Float64[Tensor, "group *statement"], statements: int
) -> Float64[Tensor, "*statement"]:
    """Student's lower bounds of mean gains, each at a level divided by the number of statements.

    Where a shift is mostly noise, each product of two groups enters the gains of both, and the
    variance of their mean is twice what their spread says; it is doubled throughout. Minus
    infinity where the groups are too few, or their gains not finite.
    """
    n = len(gains)
    if n < LEAST_GROUPS or not gains.isfinite().all():
        return torch.full(gains.shape[1:], -math.inf, dtype=torch.float64)
    quantile = float(student.isf((1 - LEVEL) / statements, n - 1))
    return gains.mean(0) - quantile * gains.std(0) * math.sqrt(2 / n)
