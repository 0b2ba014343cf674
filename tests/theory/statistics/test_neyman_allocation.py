"""Neyman allocation: where evaluations go, and how many an error takes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from theory.statistics.neyman_allocation import Goal, allocate, evaluations_for
from theory.support.errors import InputError

VARIANCE = torch.tensor([1.0, 16.0, 0.25, 4.0], dtype=torch.float64)
COST = torch.tensor([1, 1, 2, 2])

variances = st.lists(st.floats(0.01, 100), min_size=4, max_size=4).map(
    lambda v: torch.tensor(v, dtype=torch.float64)
)


def error(images_per_time, variance=VARIANCE):
    return (variance / images_per_time).sum().item()


def test_images_go_where_they_lower_the_error_most():
    images_per_time = allocate(VARIANCE, COST, 12000.0, 10**6)
    equal = torch.full((4,), 12000 // 6)
    assert (images_per_time * COST).sum() <= 12000
    assert error(images_per_time) < 0.9 * error(equal)
    expected = (VARIANCE * COST).sqrt().sum().item() ** 2 / 12000
    assert error(images_per_time) == pytest.approx(expected, rel=1e-2)


@given(variances, st.integers(100, 100_000), st.integers(10, 5000))
def test_no_time_gets_more_than_there_are_and_the_sum_is_kept(variance, evaluations, most):
    images_per_time = allocate(variance, COST, float(evaluations), most)
    assert (images_per_time <= most).all()
    assert (images_per_time * COST).sum() <= evaluations
    spare = evaluations - (images_per_time * COST).sum().item()
    assert spare < 8 or (images_per_time == most).all()


@pytest.mark.parametrize("least", [0.0, -0.001])
def test_a_time_without_variance_has_what_the_others_leave_over(least):
    variance = torch.tensor([4.0, 1.0, least], dtype=torch.float64)
    cost = torch.ones(3, dtype=torch.int64)
    assert allocate(variance, cost, 9.0, 10).tolist() == [5, 2, 0]
    assert allocate(variance, cost, 27.0, 10).tolist() == [10, 10, 7]
    assert evaluations_for(variance, cost, 0.5) == pytest.approx((2 + 1) ** 2 / 0.5)


@given(variances, st.floats(0.01, 10))
def test_evaluations_for_an_error_give_that_error(variance, wanted):
    evaluations = evaluations_for(variance, COST, wanted)
    share = torch.sqrt(variance / COST)
    exact = evaluations * share / (share * COST).sum()
    assert error(exact, variance) == pytest.approx(wanted, rel=1e-9)


def test_bad_goals_are_refused():
    for options in ({}, {"evaluations": 0}, {"precision": 0.0}, {"precision": -1.0}):
        with pytest.raises(InputError, match="expected"):
            Goal(**options)
