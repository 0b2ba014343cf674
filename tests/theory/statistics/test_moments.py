"""Moments: streams merge, batches do not matter, and what is estimated from them is unbiased."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from scipy.stats import t as student

from tests.draws import normal
from theory.forward.forward_pass import GROUPS
from theory.statistics.moments import Contrast, Moments

POPULATION = torch.tensor([[1.0, 0.5], [-2.0, 1.0], [0.5, 3.0], [2.5, -0.25]], dtype=torch.float64)
MEAN_SQ = POPULATION.mean(0).square().sum().item()
TOTAL_VARIANCE = POPULATION.var(0, correction=0).sum().item()


def of_units(units, sizes=(), first=0):
    """Moments of units taken in by batches of the given sizes, and the rest at once."""
    moments = Moments.empty(tuple(units.shape[1:]), GROUPS)
    start = 0
    for size in (*sizes, len(units)):
        batch = units[start : start + size]
        moments.add_(groups_of(len(batch), first + start), batch)
        start += len(batch)
    return moments


def groups_of(n, first=0, groups=GROUPS):
    return torch.arange(first, first + n) % groups


def units_of(n, shape=(2, 3), seed=0):
    return normal(seed, n, *shape) + 0.3


def distance(one, other):
    return max(
        (getattr(one, sums) - getattr(other, sums)).abs().max().item()
        for sums in ("count", "total", "square")
    )


sizes_of_batches = st.lists(st.integers(1, 30), max_size=6)


@given(sizes_of_batches, st.integers(0, 100))
def test_batches_do_not_matter(sizes, first):
    units = units_of(90)
    assert distance(of_units(units, sizes, first), of_units(units, (), first)) < 1e-12


@given(st.integers(1, 89), sizes_of_batches)
def test_two_streams_merge_into_one(cut, sizes):
    units = units_of(90)
    merged = of_units(units[:cut], sizes) + of_units(units[cut:], sizes, first=cut)
    assert distance(merged, of_units(units)) < 1e-12
    assert merged.n == 90


def test_streams_that_both_start_at_image_zero_are_told_apart():
    units = units_of(90)
    merged = of_units(units[:40]) + of_units(units[40:])
    assert distance(merged, of_units(units)) > 0.1


def test_adding_leaves_both_streams_as_they_were():
    one, other = of_units(units_of(10)), of_units(units_of(10, seed=1), first=10)
    before = [one.total.clone(), other.total.clone()]
    together = one + other
    assert torch.equal(one.total, before[0])
    assert torch.equal(other.total, before[1])
    assert not torch.equal(together.total, before[0])


def test_mean_and_count():
    units = units_of(75)
    moments = of_units(units)
    assert moments.n == 75
    assert (moments.mean - units.mean(0)).abs().max() < 1e-13
    assert (of_units(units[:-1]).mean - units.mean(0)).abs().max() > 1e-4


def average_over_samples(n, statistic):
    """The exact expectation over n draws with replacement from the population."""
    samples = itertools.product(range(len(POPULATION)), repeat=n)
    values = [statistic(of_units(POPULATION[list(sample)])) for sample in samples]
    return math.fsum(values) / len(values)


@pytest.mark.parametrize("n", [2, 3])
def test_squared_norm_and_error_energy_are_exactly_unbiased(n):
    norm = average_over_samples(n, lambda m: m.squared_norm().value)
    assert norm == pytest.approx(MEAN_SQ, rel=1e-12)
    error = average_over_samples(n, Moments.error_energy)
    assert error == pytest.approx(TOTAL_VARIANCE / n, rel=1e-12)


BIASED = {
    "plain square": (lambda m: m.mean.square().sum().item(), lambda n: MEAN_SQ),
    "n squared for n (n - 1)": (
        lambda m: m.squared_norm().value * (m.n - 1) / m.n,
        lambda n: MEAN_SQ,
    ),
    "error of one image": (lambda m: m.n * m.error_energy(), lambda n: TOTAL_VARIANCE / n),
    "error with n for n - 1": (
        lambda m: m.error_energy() * (m.n - 1) / m.n,
        lambda n: TOTAL_VARIANCE / n,
    ),
}


def test_biased_statistics_are_told_apart():
    for name, (statistic, expected) in BIASED.items():
        for n in (2, 3):
            average = average_over_samples(n, statistic)
            assert average != pytest.approx(expected(n), rel=1e-3), (name, n)


def pair_average(units):
    """Mean of r_i.r_j over all pairs of different images."""
    products = units.flatten(1) @ units.flatten(1).T
    n = len(units)
    return ((products.sum() - products.trace()) / (n * (n - 1))).item()


def jackknife_by_hand(units, groups, factor=lambda k: (k - 1) / k):
    """Half-width of Student's interval, leaving out the images of one group at a time."""
    group = torch.arange(len(units)) % groups
    without = [pair_average(units[group != g]) for g in range(groups)]
    mean = math.fsum(without) / groups
    variance = factor(groups) * math.fsum((w - mean) ** 2 for w in without)
    return student.ppf(0.975, groups - 1) * math.sqrt(variance)


@pytest.mark.parametrize("n", [3, 7, GROUPS, 50, 100])
def test_the_interval_is_the_delete_a_group_jackknife(n):
    units = units_of(n)
    estimate = of_units(units).squared_norm()
    half = jackknife_by_hand(units, min(n, GROUPS))
    assert estimate.value == pytest.approx(pair_average(units), rel=1e-11)
    assert estimate.upper - estimate.value == pytest.approx(half, rel=1e-9)
    assert estimate.value - estimate.lower == pytest.approx(half, rel=1e-9)


def test_other_jackknives_are_told_apart():
    units = units_of(50)
    estimate = of_units(units).squared_norm()
    half = estimate.upper - estimate.value
    assert jackknife_by_hand(units, 50) != pytest.approx(half, rel=1e-3)
    assert jackknife_by_hand(units, GROUPS, lambda k: 1 / k) != pytest.approx(half, rel=1e-3)


def is_unbounded(estimate):
    return (estimate.lower, estimate.upper) == (-math.inf, math.inf)


def test_fewer_than_three_groups_give_an_infinite_interval():
    assert is_unbounded(of_units(units_of(2)).squared_norm())
    assert is_unbounded(two_groups(units_of(60)).squared_norm())
    assert not is_unbounded(of_units(units_of(3)).squared_norm())


def two_groups(units):
    moments = Moments.empty(tuple(units.shape[1:]), groups=2)
    moments.add_(groups_of(len(units), groups=2), units)
    return moments


def test_groups_left_with_one_image_give_an_infinite_interval():
    lopsided = of_units(units_of(3))
    lopsided.add_(groups_of(1), units_of(4)[:1])
    assert not is_unbounded(lopsided.squared_norm())
    two_in_one_group = of_units(units_of(1)) + of_units(units_of(1), first=GROUPS)
    assert is_unbounded(two_in_one_group.squared_norm())


def test_squared_norm_may_be_negative():
    units = torch.tensor([[1.0], [-1.0], [0.5]], dtype=torch.float64)
    assert of_units(units).squared_norm().value == pytest.approx(-2 / 6, rel=1e-13)
    assert of_units(units.abs()).squared_norm().value > 0


def of_a_set(images, noise, draws=4):
    """Moments with their contrast, of images' own means plus noise, by pairs of draws."""
    n, d = images.shape
    per_pair = images + noise.reshape(draws // 2, n, d)
    moments, contrasts = Moments.empty((d,), 16), Moments.empty((d,), 16)
    half = draws // 4
    group = torch.arange(n) % 16
    moments.add_(group, per_pair.mean(0))
    contrasts.add_(group, (per_pair[:half].mean(0) - per_pair[half:].mean(0)) / 2)
    contrast = Contrast(contrasts.total, contrasts.square)
    return replace(moments, contrast=contrast)


def test_the_norm_of_a_set_does_not_count_what_differs_between_its_images():
    """Over repetitions: unbiased for the set, where the population's estimate is not."""
    n, d, repetitions = 48, 4, 400
    images = 3 * normal(0, n, d)
    truth = images.mean(0).square().sum().item()
    of_set, of_population, missed = [], [], 0
    for noise in normal(1, repetitions, 2, n, d):
        moments = of_a_set(images, noise)
        found = moments.squared_norm_of_set()
        of_set.append(found.value - truth)
        of_population.append(moments.squared_norm().value - truth)
        missed += not found.lower <= truth <= found.upper
    error = torch.tensor(of_set).std().item() / repetitions**0.5
    assert abs(sum(of_set) / repetitions) < 5 * error
    assert abs(sum(of_population) / repetitions) > 20 * error
    assert missed <= binom.isf(1e-6, repetitions, 0.05)


def test_without_a_contrast_the_interval_reaches_from_all_noise_to_none():
    moments = Moments.empty((4,), 16)
    moments.add_(torch.arange(64) % 16, 1 + normal(1, 64, 4))
    of_set, of_population = moments.squared_norm_of_set(), moments.squared_norm()
    assert of_set.value == of_population.value
    assert of_set.lower == of_population.lower
    widened = moments.mean.square().sum().item() - of_population.value
    assert of_set.upper - of_population.upper == pytest.approx(widened)
    assert widened > 0


def test_the_error_of_two_groups_by_hand():
    """Units 1, 1 and 4, 6 in two groups, mean 3: 2 (|2 - 6|^2 + |10 - 6|^2) / 4^2 = 4."""
    moments = Moments.empty((1,), 3)
    moments.add_(torch.tensor([0, 0, 2, 2]), torch.tensor([[1.0], [1.0], [4.0], [6.0]]).double())
    assert replace(moments, clustered=True).error_energy() == pytest.approx(4.0)
    assert moments.error_energy() == pytest.approx((4 + 4 + 1 + 9) / (4 * 3))


@pytest.mark.parametrize("clustered", [False, True])
def test_an_error_that_all_units_share_is_counted_once_everywhere(clustered):
    """A common error of 0.5 is in |mean|^2, so each norm is less by it, and the error is more."""
    own = replace(of_a_set(normal(2, 48, 4), normal(3, 2, 48, 4)), clustered=clustered)
    shared = replace(own, common_error=0.5).to("cpu")
    assert shared.common_error == 0.5, "it is not lost on the way to another device"
    shared = replace(shared, contrast=own.contrast, clustered=clustered)
    assert own.error_energy() + 0.5 == pytest.approx(shared.error_energy(), rel=1e-12)
    for norm in (Moments.squared_norm, Moments.squared_norm_of_set):
        before, after = norm(own), norm(shared)
        for end in ("value", "lower", "upper"):
            expected = getattr(before, end) - 0.5
            assert getattr(after, end) == pytest.approx(expected, rel=1e-9, abs=1e-9)
