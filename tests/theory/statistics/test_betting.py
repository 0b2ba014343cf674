"""Lower bounds by betting: their level at every n, what they cost, and what they refuse."""

import math

import pytest
import torch
from scipy.stats import binom, lognorm, norm
from scipy.stats import t as student
from torch import Tensor

from theory.statistics.betting import betting_lower_bounds, log_wealth, plug_in_bets
from theory.statistics.intervals import LEVEL
from theory.support.errors import InputError

SIZES = (20, 50, 100, 400)
REPETITIONS = 2000
QUANTILES = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000


def points(quantile):
    """A law of a thousand equally likely points in [0, 1], so that its mean is known exactly."""
    return torch.from_numpy(quantile(QUANTILES.numpy())).clamp(0, 1)


LAWS = {
    "Gaussian": points(norm(0.4, 0.2).ppf),
    "lognormal": points(lognorm(1.5, scale=0.02).ppf),
    "two points": torch.where(QUANTILES < 0.98, 0.0, 1.0).double(),
}
"""Two points are where Student's bound fails: of few values, most have no large one among them."""


def drawn(law: Tensor, n: int, repetitions: int = REPETITIONS) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    return law[torch.randint(len(law), (n, repetitions), generator=generator)]


def bounds(values: Tensor, planned: int | None = None) -> Tensor:
    least = torch.zeros(values.shape[1:], dtype=torch.float64)
    return betting_lower_bounds(values, least, least + 1, 1, planned or len(values))


def students(values: Tensor) -> Tensor:
    n = len(values)
    return values.mean(0) - student.isf(1 - LEVEL, n - 1) * values.std(0) / math.sqrt(n)


FALSE_ALARM = 1e-6 / (len(SIZES) * len(LAWS))
"""Of each of these tests, so that one in a million whole runs fails though all is right."""


def too_often(wrong: Tensor) -> bool:
    """Whether bounds are wrong beyond doubt in more than 5 % of all repetitions."""
    most = binom.isf(FALSE_ALARM, REPETITIONS, 1 - LEVEL)
    return bool(wrong.sum() > most)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", LAWS)
def test_bounds_keep_their_level_at_every_n(name, n):
    values = drawn(LAWS[name], n)
    assert not too_often(bounds(values) > LAWS[name].mean())


@pytest.mark.parametrize("n", SIZES[:3])
def test_students_bound_does_not_where_errors_are_skewed(n):
    high_is_usual = 1 - LAWS["two points"]
    assert too_often(students(drawn(high_is_usual, n)) > high_is_usual.mean())


@pytest.mark.parametrize("name", LAWS)
def test_bounds_may_be_watched(name):
    values = drawn(LAWS[name], 100)
    ever = torch.stack([bounds(values[:k], 100) for k in range(1, 101, 9)]).amax(0)
    assert not too_often(ever > LAWS[name].mean())


def test_a_bound_comes_near_the_mean():
    values = drawn(LAWS["Gaussian"], 400)
    assert (LAWS["Gaussian"].mean() - bounds(values)).mean() < 0.03


def test_a_bound_is_where_the_bet_reaches_its_wealth():
    values = drawn(LAWS["Gaussian"], 30, 4)
    found = bounds(values)
    wealth = log_wealth(values, found, plug_in_bets(values, 1 - LEVEL, 30)).amax(0)
    assert torch.allclose(wealth, torch.full_like(wealth, math.log(1 / (1 - LEVEL))), atol=1e-9)


def test_bets_are_those_of_the_number_that_was_planned_however_many_values_come():
    """Bets that are made for the values that came would look ahead."""
    values = drawn(LAWS["Gaussian"], 30, 4)
    found = bounds(values, 200)
    wealth = log_wealth(values, found, plug_in_bets(values, 1 - LEVEL, 200)).amax(0)
    assert torch.allclose(wealth, torch.full_like(wealth, math.log(1 / (1 - LEVEL))), atol=1e-9)
    assert (found != bounds(values)).all()


def test_bounds_keep_to_the_units_of_their_values():
    values, least = drawn(LAWS["Gaussian"], 50, 3), torch.tensor([-3.0, 0.0, 5.0]).double()
    most = least + torch.tensor([2.0, 7.0, 1.0]).double()
    scaled = least + (most - least) * values
    expected = least + (most - least) * bounds(values)
    assert torch.allclose(betting_lower_bounds(scaled, least, most, 1, 50), expected, atol=1e-12)


def test_more_statements_and_fewer_values_bound_less():
    values = drawn(LAWS["Gaussian"], 50, 3)
    zero = torch.zeros(3, dtype=torch.float64)
    assert (betting_lower_bounds(values, zero, zero + 1, 50, 50) < bounds(values)).all()
    assert (bounds(values[:10], 50) <= bounds(values)).all()
    assert bounds(values[:0], 50).eq(0).all()


def test_what_has_no_range_is_its_value():
    zeros = torch.zeros(10, 2, dtype=torch.float64)
    assert betting_lower_bounds(zeros, zeros[0], zeros[0], 1, 10).eq(0).all()


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_values_outside_their_bounds_are_refused(value):
    with pytest.raises(InputError, match="betting: expected values within the bounds"):
        bounds(torch.tensor([[0.5], [value]], dtype=torch.float64))


def test_bets_by_hand():
    """sqrt(2 log(1/error) / (planned v)), v the variance of a value at 1/2 and of those before."""
    bets = plug_in_bets(torch.tensor([1.0, 0.0, 0.7]).double(), 0.05, 8)
    after_one = (0.25 + (1 - 0.75) ** 2) / 2
    after_two = (0.25 + (1 - 0.75) ** 2 + (0 - 0.5) ** 2) / 3
    expected = [(2 * math.log(20) / (8 * v)) ** 0.5 for v in (0.25, after_one, after_two)]
    assert torch.allclose(bets, torch.tensor(expected).double())


def test_no_more_than_a_share_of_the_wealth_can_be_lost():
    """A bet of 10 on values above 1/2 is cut to 1.8: a value of 0 leaves a tenth, one of 1 gains 0.9."""
    wealth = log_wealth(
        torch.tensor([0.0, 1.0]).double(),
        torch.tensor(0.5).double(),
        torch.tensor([10.0, 10.0]).double(),
    )
    assert torch.allclose(wealth.exp(), torch.tensor([0.1, 0.19]).double())
