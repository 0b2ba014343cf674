"""Lower bounds by betting, valid for every number of observations and whenever one stops.

Somebody stakes part of a wealth of 1 on each of independent observations. Where a bet is fair and is
made before its observation is seen, the wealth is a nonnegative martingale, so that by Ville's
inequality it ever reaches 1/alpha with probability alpha at most: wealth is evidence against what
would make the bets fair. Waudby-Smith & Ramdas, "Estimating means of bounded random variables by
betting" (2023).
"""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.statistics.intervals import LEVEL
from theory.support.errors import InputError

MOST_STAKED = 0.9
"""Share of the wealth that one observation can take at most."""

HALVINGS = 50
"""Of the range in which a bound is looked for."""


def plug_in_bets(
    values: Float64[Tensor, "n *any"], error: float, planned: int
) -> Float64[Tensor, "n *any"]:
    """Stakes on each of some values in [0, 1], made from those before it:

        lambda_i = sqrt(2 log(1/error) / (planned v_{i-1})),    v the variance so far,

    with one value at 1/2 and a variance of 1/4 to begin with. Waudby-Smith & Ramdas (2023), eq. 15
    with the length that is planned.
    """
    seen = torch.arange(1, len(values) + 1, dtype=torch.float64)
    seen = seen.reshape(-1, *[1] * (values.dim() - 1))
    means = (0.5 + values.cumsum(0)) / (1 + seen)
    variances = (0.25 + (values - means).square().cumsum(0)) / (1 + seen)
    before = torch.cat([torch.full_like(variances[:1], 0.25), variances[:-1]])
    return (2 * math.log(1 / error) / (planned * before)).sqrt()


def log_wealth(
    values: Float64[Tensor, "n *any"],
    mean: Float64[Tensor, "*any"],
    bets: Float64[Tensor, "n *any"],
) -> Float64[Tensor, "n *any"]:
    """Log-wealth of bets on values in [0, 1] being larger than a mean, after each of them:

        sum_i log(1 + b_i (x_i - mean)),    b_i = min(lambda_i, MOST_STAKED / mean).

    It falls with the mean, whatever the values. It is the logarithm of a nonnegative martingale where
    this is their mean and each bet depends on earlier values alone.
    """
    return torch.log1p(torch.minimum(bets, MOST_STAKED / mean) * (values - mean)).cumsum(0)


def betting_lower_bounds(
    values: Float64[Tensor, "n *statement"],
    least: Float64[Tensor, "*statement"],
    most: Float64[Tensor, "*statement"],
    statements: int,
    planned: int,
) -> Float64[Tensor, "*statement"]:
    """Lower bounds of means that hold for all statements at once, for every n and whenever one stops.

    A bound is the largest mean at which a bet on larger values has ever made 1/error of its wealth.

    Args:
        values: n independent observations, for one or more quantities.
        least, most: what the values of each quantity lie between, known before they are seen.
        statements: how many bounds must hold together (Bonferroni).
        planned: the number of observations for which the bets are best, chosen beforehand.

    Raises:
        InputError: values that do not lie between their bounds.
    """
    error, span = (1 - LEVEL) / statements, most - least
    room = 1e-9 * span
    if not bool(((values >= least - room) & (values <= most + room)).all()):
        raise InputError("betting: expected values within the bounds that were given for them")
    x = ((values - least) / torch.where(span > 0, span, 1.0)).clamp(0, 1)
    bets = plug_in_bets(x, error, planned)
    low, high = torch.zeros_like(span), torch.ones_like(span)
    for _ in range(HALVINGS if len(x) else 0):
        middle = (low + high) / 2
        refuted = log_wealth(x, middle, bets).amax(0) >= math.log(1 / error)
        low, high = torch.where(refuted, middle, low), torch.where(refuted, high, middle)
    return least + low * span
