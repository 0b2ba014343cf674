"""Bets are fair, and Ville's inequality bounds what they win: exactly, over all paths of a few steps.

The observations take two or three values, so that the law of the wealth after n of them is a finite
sum. The power of a test, which takes more steps, is sampled.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import beta
from torch import Tensor

from theory.statistics.betting import betting_lower_bounds, log_wealth, plug_in_bets
from theory.statistics.intervals import LEVEL as CONFIDENCE
from theory.statistics.mean_zero_test import MeanZeroTest
from toy.claims.repetitions import IMAGES, at_most, image_noise
from toy.judge.claim import Trial, exact_claim, statistical_claim
from toy.mixtures.mixture import float64
from toy.numerics.relative_errors import largest
from toy.strategies.numbers import number, number_tuple

LEVELS = (1.5, 2.0, 4.0, 10.0, 20.0)
"""Thresholds of the wealth."""


@dataclass(frozen=True)
class TwoPointCase:
    """Independent x_i in [0, 1] that are high with some probability, else low, and bets on them."""

    low: float
    high: float
    probability: float
    steps: int
    error: float
    planned: int

    def paths(self) -> tuple[Tensor, Tensor]:
        """All paths (n, 2^n), and their probabilities (2^n,)."""
        is_high = float64(list(itertools.product((0.0, 1.0), repeat=self.steps))).T
        chances = float64([1 - self.probability, self.probability])[is_high.long()].prod(0)
        return self.low + (self.high - self.low) * is_high, chances

    @property
    def mean(self) -> Tensor:
        """E x_i."""
        return float64(self.low + (self.high - self.low) * self.probability)


TWO_POINTS = st.builds(
    TwoPointCase, number(0.0, 1.0), number(0.0, 1.0), number(0.02, 0.98), st.integers(1, 10),
    st.sampled_from((0.05, 0.001)), st.sampled_from((1, 10, 400)),
)  # fmt: skip


@dataclass(frozen=True)
class ThreePointCase:
    """Independent vectors of mean zero in the plane: u, w or what makes their mean zero."""

    u: tuple[float, float]
    w: tuple[float, float]
    chances: tuple[float, float]
    steps: int

    def points(self) -> tuple[Tensor, Tensor]:
        """The vectors (3, 2), and their probabilities (3,)."""
        p, q = (chance / 3 for chance in self.chances)
        u, w = float64(self.u), float64(self.w)
        return torch.stack([u, w, -(p * u + q * w) / (1 - p - q)]), float64([p, q, 1 - p - q])


THREE_POINTS = st.builds(
    ThreePointCase, number_tuple(-1.0, 1.0, 2), number_tuple(-1.0, 1.0, 2),
    number_tuple(0.1, 1.0, 2), st.integers(1, 5),
)  # fmt: skip

Wealth = Callable[[TwoPointCase, Tensor], Tensor]
"""From paths (n, k) to the wealth after each step (n, k)."""


def made_beforehand(case: TwoPointCase, x: Tensor) -> Tensor:
    """The wealth of bets on x being larger than its mean."""
    return log_wealth(x, case.mean.expand_as(x[0]), plug_in_bets(x, case.error, case.planned)).exp()


def made_afterwards(case: TwoPointCase, x: Tensor) -> Tensor:
    """The same with each bet made when its observation has been seen."""
    bets = plug_in_bets(torch.cat([x, x[-1:]]), case.error, case.planned)[1:]
    return log_wealth(x, case.mean.expand_as(x[0]), bets).exp()


def on_winners(case: TwoPointCase, x: Tensor) -> Tensor:
    """The same with stakes only on observations that will win."""
    bets = plug_in_bets(x, case.error, case.planned)
    return log_wealth(x, case.mean.expand_as(x[0]), torch.where(x > case.mean, bets, 0.0)).exp()


def not_clipped(case: TwoPointCase, x: Tensor) -> Tensor:
    """The same with more staked than there is."""
    bets = plug_in_bets(x, case.error, case.planned)
    return (1 + bets * (x - case.mean)).cumprod(0)


def on_loan(case: TwoPointCase, x: Tensor) -> Tensor:
    """The same with half as much again in hand, which is paid back before the last observation."""
    in_hand = torch.full_like(x, 1.5)
    in_hand[-1] = 1.0
    return in_hand * made_beforehand(case, x)


def wealth_error(case: TwoPointCase, wealth: Wealth = made_beforehand) -> float:
    """|E W_n - 1| over all n, and how far W_n is below zero."""
    x, chances = case.paths()
    w = wealth(case, x)
    return (w @ chances - 1).abs().amax().item() + largest([0.0, -w.amin()])


def ville_excess(case: TwoPointCase, wealth: Wealth = made_beforehand) -> float:
    """How far b P(max_n W_n >= b) is above 1, for some b."""
    x, chances = case.paths()
    highest = wealth(case, x).amax(0)
    return largest([0.0, *(b * chances[highest >= b].sum() - 1 for b in LEVELS)])


Bound = Callable[[Tensor, int], Tensor]
"""From paths (n, k) and the length that is planned to a lower bound (k,) of the mean."""


def bound_for_one(x: Tensor, planned: int) -> Tensor:
    """The lower bound of a single statement."""
    least = torch.zeros_like(x[0])
    return betting_lower_bounds(x, least, least + 1, 1, planned)


def own_deviation(x: Tensor, planned: int) -> Tensor:
    """The mean less two standard errors of these very values."""
    error = x.std(0, correction=0) / math.sqrt(len(x))
    return x.mean(0) - 2 * error


def valid_at_one_length(x: Tensor, planned: int) -> Tensor:
    """Clopper and Pearson's bound, exact for a number of values that is fixed beforehand."""
    low, high = x.min(), x.max()
    highs, n = (x > (low + high) / 2).sum(0).numpy(), len(x)
    share = torch.from_numpy(beta.ppf(1 - CONFIDENCE, highs, n - highs + 1)).nan_to_num(0.0)
    return low + (high - low) * share


def bound_excess(case: TwoPointCase, bound: Bound = bound_for_one) -> float:
    """How much oftener than in 5 % of all cases the bound of any of the first n values is wrong."""
    x, chances = case.paths()
    bounds = torch.stack([bound(x[: k + 1], case.planned) for k in range(case.steps)])
    wrong = (bounds > case.mean + 1e-12).any(0)
    return largest([0.0, chances[wrong].sum() - (1 - CONFIDENCE)])


class WithPresent(MeanZeroTest):
    """The mistake of a direction that is made with the vector that is bet on."""

    def projections(self, vectors: Tensor) -> Tensor:
        """v_i + r_i in place of v_i."""
        directions = self._sum + vectors.cumsum(0)
        return (directions * vectors).sum(1) / directions.abs().sum(1).clamp(min=1e-300)


class WithoutNorm(MeanZeroTest):
    """The mistake of stakes that are larger than the wealth can bear."""

    def projections(self, vectors: Tensor) -> Tensor:
        """Divided by |v_i|_2 in place of |v_i|_1, four times over."""
        first = self._sum.expand_as(vectors[:1])
        directions = torch.cat([first, first + vectors[:-1].cumsum(0)])
        return 4 * (directions * vectors).sum(1) / directions.norm(dim=1).clamp(min=1e-300)


class TooEarly(MeanZeroTest):
    """The mistake of rejecting before the threshold: stopped there, bets are fair as well."""

    def __init__(self, reach: float, threshold: float) -> None:
        super().__init__(reach, min(1.1, threshold))


def _stopped_wealth(
    case: ThreePointCase, threshold: float, kind: type[MeanZeroTest]
) -> tuple[Tensor, Tensor, Tensor]:
    """Of every path: its probability, the wealth when it stops, and whether it rejects."""
    points, chances = case.points()
    reach = points.abs().amax().item()
    rows = []
    for path in itertools.product(range(3), repeat=case.steps):
        test = kind(reach or 1.0, threshold)
        for first in range(0, case.steps, 2):  # as batches come in
            test.add_(points[list(path[first : first + 2])])
        rows.append([chances[list(path)].prod().item(), math.exp(test.log_e_value), test.rejected])
    probability, wealth, rejected = float64(rows).T
    return probability, wealth, rejected


def e_value_error(case: ThreePointCase, kind: type[MeanZeroTest] = MeanZeroTest) -> float:
    """|E W_tau - 1| for tau the time at which a threshold is reached, and where P(reached) is too large."""
    worst = 0.0
    for threshold in (1.2, 20.0):
        probability, wealth, rejected = _stopped_wealth(case, threshold, kind)
        if not wealth.isfinite().all():  # the logarithm of a negative wealth
            return 1.0
        fair = abs((probability @ wealth).item() - 1)
        worst = largest([worst, fair, threshold * (probability @ rejected) - 1])
    return worst


DIMENSION, DELTA, THRESHOLD = 16, 0.2, 20.0
MISSED = 0.05
"""Probability with which a bias of ``DELTA`` may go unseen in so many images."""

Test = Callable[[float, float], MeanZeroTest]
"""From the reach and the threshold to a test."""


def power_trial(seed: int, test: Test = MeanZeroTest) -> Trial:
    """How often the test of mean zero sees nothing in vectors of mean ``DELTA`` in each coordinate.

    The coordinates are -1 or 1, so that none reaches farther. Once the direction is known, a vector
    wins delta^2/(2 (1/d + delta^2)) nats at the best stake, to second order: a fifth of one.
    """
    cut = float(ndtri((1 + DELTA) / 2))

    def missed(repetition: int) -> bool:
        """Whether ``IMAGES`` vectors do not take the wealth to the threshold."""
        noise = image_noise(seed, "power of betting", repetition, DIMENSION)
        found = test(1.0, THRESHOLD)
        found.add_(torch.where(noise < cut, 1.0, -1.0).double())
        return not found.rejected

    return at_most(missed, MISSED)


class AgainstDirection(MeanZeroTest):
    """The mistake of betting that the next vector points the other way."""

    def projections(self, vectors: Tensor) -> Tensor:
        """With -v_i in place of v_i."""
        return -super().projections(vectors)


class FirstCoordinateAlone(MeanZeroTest):
    """The mistake of a direction that is never learned."""

    def projections(self, vectors: Tensor) -> Tensor:
        """The first coordinate of each vector."""
        return vectors[:, 0]


def timid(reach: float, threshold: float) -> MeanZeroTest:
    """The mistake of a reach that is ten times too far, so that stakes are too small."""
    return MeanZeroTest(10 * reach, threshold)


CLAIMS = (
    exact_claim(
        "betting-wealth", "13", "bets on the mean: E W_n = 1 and W_n >= 0, over all paths",
        TWO_POINTS, wealth_error,
        wealth={
            "bet-after-the-observation": made_afterwards, "more-than-the-wealth": not_clipped,
            "fair-at-the-end-alone": on_loan,
        },
    ),
    exact_claim(
        "betting-ville", "13", "P(max_n W_n >= b) <= 1/b, over all paths", TWO_POINTS, ville_excess,
        wealth={
            "bet-on-winners": on_winners, "debts": not_clipped,
            "more-to-begin-with": lambda case, x: 1.5 * made_beforehand(case, x),
            "large-before-the-end": on_loan,
        },
    ),
    exact_claim(
        "betting-bound", "13", "a lower bound is ever wrong in 5 % of all cases at most", TWO_POINTS,
        bound_excess, share=0.3,
        bound={"two-standard-errors": own_deviation, "valid-at-one-length": valid_at_one_length},
    ),
    exact_claim(
        "betting-e-value", "13", "E W_tau = 1 for the test of mean zero, stopped at a threshold",
        THREE_POINTS, e_value_error, share=0.3,
        kind={
            "direction-with-the-present": WithPresent, "stakes-without-norm": WithoutNorm,
            "rejects-too-early": TooEarly,
        },
    ),
    statistical_claim(
        "betting-power", "13",
        f"a mean of {DELTA:g} in each of {DIMENSION} coordinates of 1 or -1 is seen in {IMAGES} vectors, "
        "19 times in 20",
        power_trial,
        test={
            "against-the-direction": AgainstDirection,
            "first-coordinate-alone": FirstCoordinateAlone, "timid-stakes": timid,
        },
    ),
)  # fmt: skip
