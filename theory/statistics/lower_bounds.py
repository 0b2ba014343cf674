"""Student's lower confidence bounds with Bonferroni's correction.

The gains are those of groups of images, each estimated from the other groups. Divided by the number
of statements, the error probability 1 - ``LEVEL`` covers all of them at once.
"""

import math

import torch
from jaxtyping import Float64
from scipy.special import stdtrit
from torch import Tensor

from theory.statistics.intervals import LEVEL

LEAST_GROUPS = 3
"""With fewer groups of images every lower bound is minus infinity."""


def lower_bounds(
    gains: Float64[Tensor, "group *statement"], statements: int
) -> Float64[Tensor, "*statement"]:
    """Lower bounds of the mean gains that hold for all statements at once, asymptotically:

        mean - t sqrt(2/n) std    over n groups, t of n - 1 degrees at (1 - LEVEL) / statements.

    The factor 2 in the variance is for gains on left-out groups: where a shift is mostly noise, each
    product of two groups enters the gains of both, which doubles the variance of the mean.

    Args:
        gains: of each group, for one or more quantities.
        statements: how many bounds must hold together (Bonferroni).

    Returns:
        A bound for each quantity; minus infinity if there are fewer than ``LEAST_GROUPS`` groups or
        any gain is not finite.
    """
    n = len(gains)
    if n < LEAST_GROUPS or not gains.isfinite().all():
        return torch.full(gains.shape[1:], -math.inf, dtype=torch.float64)
    quantile = -float(stdtrit(n - 1, (1 - LEVEL) / statements))
    return gains.mean(0) - quantile * gains.std(0) * math.sqrt(2 / n)
