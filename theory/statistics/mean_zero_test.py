"""A test by betting of whether vectors have mean zero, which may stop whenever it knows.

Somebody bets on where the next vector points, with a direction made from those before it. If the mean
is zero the bets are fair, and the wealth is a nonnegative martingale: an e-value, whenever one stops.
By Ville's inequality it ever reaches 1/alpha with probability alpha at most. Shafer, "Testing by
betting" (2021); Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting"
(2023).
"""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.support.errors import InputError

MOST_STAKED = 0.9
"""Share of the wealth that is staked at most."""


class MeanZeroTest:
    """Evidence against "independent vectors r_1, r_2, ... have mean zero", as they come in.

    With v_i the sum of the vectors before r_i, which points where their mean seems to point, and
    |r_i| <= reach in each coordinate, p_i = v_i.r_i / (reach |v_i|_1) lies in [-1, 1] and has mean
    zero if r_i has, given those before. The wealth is

        prod_i (1 + lambda_i p_i),    lambda_i = sum_{j<i} p_j / sum_{j<i} p_j^2,

    the stake that would have had the largest growth so far, to second order, from 0 to
    ``MOST_STAKED``.

    Attributes:
        reach: bound of each coordinate, known beforehand.
        threshold: of the wealth; once it is reached, no more bets are made.
        log_e_value: log-wealth now, or when the threshold was reached.
        count: how many vectors were bet on.
    """

    def __init__(self, reach: float, threshold: float) -> None:
        self.reach, self.threshold = reach, threshold
        self.log_e_value, self.count = 0.0, 0
        self._sum = torch.zeros((), dtype=torch.float64)
        self._powers = torch.zeros(2, dtype=torch.float64)

    @property
    def rejected(self) -> bool:
        """Whether the wealth has reached the threshold."""
        return self.log_e_value >= math.log(self.threshold)

    @property
    def e_value(self) -> float:
        """The wealth."""
        return math.exp(self.log_e_value)

    def add_(self, vectors: Float64[Tensor, "b *shape"]) -> None:
        """Bet on one vector after the other, in place, up to the threshold.

        Raises:
            InputError: a coordinate beyond the reach.
        """
        if self.rejected or not len(vectors):
            return
        if not bool((vectors.abs() <= self.reach * (1 + 1e-9)).all()):
            raise InputError("betting: expected vectors within the reach that was given for them")
        along = self.projections(vectors.flatten(1)) / self.reach
        powers = torch.stack([along, along**2], 1)
        first, second = _sums_before(self._powers, powers).unbind(1)
        stakes = (first / torch.where(second > 0, second, 1.0)).clamp(0, MOST_STAKED)
        wealth = self.log_e_value + torch.log1p(stakes * along).cumsum(0)
        reached = (wealth >= math.log(self.threshold)).nonzero()
        last = int(reached[0]) if len(reached) else len(vectors) - 1
        self.log_e_value = wealth[last].item()
        self.count += last + 1
        self._sum = self._sum + vectors.flatten(1).sum(0)
        self._powers = self._powers + powers.sum(0)

    def projections(self, vectors: Float64[Tensor, "b d"]) -> Float64[Tensor, "b"]:
        """v_i.r_i / |v_i|_1 of the next vectors, and 0 where v_i is."""
        directions = _sums_before(self._sum, vectors)
        size = directions.abs().sum(1)
        along = (directions * vectors).sum(1)
        return torch.where(size > 0, along / torch.where(size > 0, size, 1.0), 0.0)


def _sums_before(
    total: Float64[Tensor, "*d"], vectors: Float64[Tensor, "b d"]
) -> Float64[Tensor, "b d"]:
    """The sum of ``total`` and of all vectors before each; the last vector is not looked at."""
    start = total.expand_as(vectors[:1])
    return torch.cat([start, start + vectors[:-1].cumsum(0)])
