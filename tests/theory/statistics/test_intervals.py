"""Intervals: their formula, their coverage, and where they are infinite."""

import math

import pytest
import torch
from scipy.stats import binom, ttest_1samp

from tests.draws import normal
from theory.statistics.intervals import LEVEL as CONFIDENCE
from theory.statistics.intervals import Estimate

LEVEL = 1e-6
REPETITIONS, SAMPLES = 2000, 10
TRUTH = 1.7


def samples(seed=0, n=SAMPLES, repetitions=REPETITIONS):
    return TRUTH + 0.4 * normal(seed, repetitions, n)


def covers(estimate, width=1.0):
    half = width * (estimate.upper - estimate.lower) / 2
    return abs(estimate.value - TRUTH) <= half


def has_its_confidence(width):
    hits = sum(covers(Estimate.of_mean(row), width) for row in samples())
    low, high = (binom.ppf(q, REPETITIONS, CONFIDENCE) for q in (LEVEL / 2, 1 - LEVEL / 2))
    return low <= hits <= high


def test_only_the_interval_of_the_right_width_covers_as_often_as_it_says():
    assert {width: has_its_confidence(width) for width in (1.0, 0.5, 0.8, 1.5)} == {
        1.0: True, 0.5: False, 0.8: False, 1.5: False,
    }  # fmt: skip


@pytest.mark.parametrize("n", [2, 3, 40])
def test_the_interval_is_students(n):
    (row,) = samples(n=n, repetitions=1)
    estimate = Estimate.of_mean(row)
    expected = ttest_1samp(row.numpy(), 0).confidence_interval(CONFIDENCE)
    assert estimate.value == pytest.approx(row.mean().item(), rel=1e-14)
    assert (estimate.lower, estimate.upper) == pytest.approx(tuple(expected), rel=1e-10)
    other = ttest_1samp(row.numpy(), 0).confidence_interval(0.9)
    assert (estimate.lower, estimate.upper) != pytest.approx(tuple(other), rel=1e-3)


def test_an_unknown_error_gives_an_infinite_interval():
    unknown = Estimate(2.0, -math.inf, math.inf)
    for error, degrees in ((1.0, 0), (math.inf, 5), (math.nan, 5)):
        assert Estimate.from_error(2.0, error, degrees) == unknown, (error, degrees)
    assert Estimate.from_error(2.0, 1.0, 5) != unknown


def test_one_image_has_no_error_and_equal_images_have_error_zero():
    one, two = torch.tensor([3.0]).double(), torch.tensor([3.0, 3.0]).double()
    assert Estimate.of_mean(one) == Estimate(3.0, -math.inf, math.inf)
    assert Estimate.of_mean(two) == Estimate(3.0, 3.0, 3.0)


@pytest.mark.parametrize("level", [0.5, 0.9975])
def test_another_level_is_that_of_students_interval(level):
    (row,) = samples(n=9, repetitions=1)
    found = Estimate.of_mean(row, level=level)
    expected = ttest_1samp(row.numpy(), 0).confidence_interval(level)
    assert (found.lower, found.upper) == pytest.approx(tuple(expected), rel=1e-10)
    twice, units = torch.cat([row, row]), torch.arange(9).repeat(2)
    assert Estimate.of_mean(twice, units, level).upper == pytest.approx(found.upper, rel=1e-10)
    assert Estimate.of_mean(twice, units).upper != pytest.approx(found.upper, rel=1e-3)
