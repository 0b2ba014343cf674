"""Bets on bounded observations: tests and lower bounds that hold at every n, and may be watched.

If z_1, z_2 ... are in [-1, 1] and E[z_i | past] = 0, the wealth W_n = prod (1 + lambda_i z_i) of bets
lambda_i in (-1, 1) that know only the past is a nonnegative martingale from 1, and by Ville's inequality
P(sup_n W_n >= 1/p) <= p: whoever stops when the wealth is large errs with probability p at most. A
lower bound of a mean is what no such bet can refuse. Waudby-Smith and Ramdas, "Estimating means of
bounded random variables by betting" (2023), sections 3 and 4.
"""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.support.errors import InputError

BOLDNESS = 0.9
"""The largest share of the wealth that is staked."""

CANDIDATES = 2000
"""Means among which a lower bound is looked for."""


def bets(past: Float64[Tensor, "*run n"]) -> Float64[Tensor, "*run n"]:
    """What to stake on each observation, in [-0.9, 0.9], knowing those before it alone.

    lambda_i = sum_{j<i} z_j / sum_{j<i} z_j^2, which has the largest expected growth to second order;
    nothing on the first.
    """
    before = torch.cat([torch.zeros_like(past[..., :1]), past[..., :-1]], -1)
    first, second = before.cumsum(-1), before.square().cumsum(-1)
    stake = torch.where(second > 0, first / second.clamp(min=1e-300), 0.0)
    return stake.clamp(-BOLDNESS, BOLDNESS)


def wealth(z: Float64[Tensor, "*run n"]) -> Float64[Tensor, "*run n"]:
    """The wealth after each of the observations in [-1, 1], under the hypothesis that their mean is 0.

    Raises:
        InputError: an observation outside [-1, 1].
    """
    if not bool((z.abs() <= 1 + 1e-9).all()):
        raise InputError("bets: expected observations from -1 to 1")
    return torch.cumprod(1 + bets(z) * z, -1)


def lower_bound(values: Float64[Tensor, "n"], least: float, most: float, error: float) -> float:
    """A lower bound of the mean that fails with probability ``error`` at most, at every n.

    Args:
        values: independent observations of at least ``least``; those above ``most`` are cut to it,
            which lowers the mean.
        least, most: known in advance.
        error: probability of a bound above the mean.

    Raises:
        InputError: a value below ``least``, or no room between the two.
    """
    if not least < most or bool((values < least - 1e-9 * (most - least)).any()):
        raise InputError(f"bets: expected values of at least {least:g} < {most:g}")
    x = ((values - least) / (most - least)).clamp(0, 1)
    means = torch.arange(1, CANDIDATES, dtype=torch.float64) / CANDIDATES
    log_wealth, largest = torch.zeros_like(means), torch.zeros_like(means)
    count, total, square = 0, 0.0, 0.0
    for value in x.tolist():
        mean = (total + 0.5) / (count + 1)
        variance = max((square + 0.5) / (count + 1) - mean**2, 1e-12)
        away = mean - means
        stake = (away / (variance + away**2)).clamp(min=0)
        stake = torch.minimum(stake, BOLDNESS / means)
        log_wealth = log_wealth + torch.log1p(stake * (value - means))
        largest = torch.maximum(largest, log_wealth)
        count, total, square = count + 1, total + value, square + value**2
    refused = largest >= -math.log(error)
    kept = int((~refused).nonzero()[0]) if bool((~refused).any()) else CANDIDATES - 1
    return least + (most - least) * (0.0 if kept == 0 else means[kept - 1].item())
