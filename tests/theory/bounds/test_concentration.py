"""Bounds that hold: by hand, by closed forms, and against the exact Hessian; and what they refuse."""

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.bounds import concentration
from theory.bounds.concentration import (
    ComponentProbability,
    PosteriorMean,
    azuma_hoeffding,
    doob,
    hessian_bound,
    marginal_proxy,
    mean_deviation,
    quadratic_variation_tail,
    variance_proxy,
    ville,
)
from theory.diffusion.schedules import EDM, RectifiedFlow, VPLinear
from theory.support.errors import InputError
from toy.mixtures.mixture import GaussianMixture
from toy.strategies.time_pairs import TIME_PAIRS

SCHEDULES = [VPLinear(), EDM(), RectifiedFlow()]
COMPONENT = ComponentProbability()


def test_values_by_hand():
    assert doob(2.0, 1.0, 2.0) == 0.25
    assert doob(0.5, 1.0, 1.0) == 1.0
    assert quadratic_variation_tail(2.0, 2.0) == pytest.approx(math.exp(-1))
    assert ville(20.0) == pytest.approx(0.05)
    assert ville(20.0, start=4.0) == pytest.approx(0.2)
    assert azuma_hoeffding(0.5, [0.1] * 10, COMPONENT) == pytest.approx(2 * math.exp(-5))
    assert marginal_proxy(2.0, 1.0, 3.0) == pytest.approx(4 / 13)


def test_an_unbounded_martingale_is_refused():
    for ends in ((-math.inf, math.inf), (0.0, math.inf), (math.nan, 1.0), (1.0, 1.0)):
        with pytest.raises(InputError, match="posterior mean: expected data in a bounded interval"):
            PosteriorMean(*ends)


@dataclass(frozen=True)
class Score:
    """A score that says that it is bounded."""

    low: float = -5.0
    high: float = 5.0


def test_what_is_not_known_to_be_bounded_is_refused():
    for of in (Score(), Score, "score", None, ComponentProbability):
        with pytest.raises(
            InputError, match="Azuma-Hoeffding: expected a martingale that is known"
        ):
            azuma_hoeffding(1.0, [0.5], of)
    assert azuma_hoeffding(1.0, [0.5], PosteriorMean(-5.0, 5.0)) == pytest.approx(2 * math.exp(-8))


def test_widths_that_bound_no_increment_are_refused():
    for widths in ([], [0.0], [-1.0], [1.5], [math.inf], [math.nan]):
        with pytest.raises(InputError, match="expected widths"):
            azuma_hoeffding(0.5, widths, COMPONENT)


@pytest.mark.parametrize(
    "call",
    [
        lambda: doob(1.0, 1.0, 0.5),
        lambda: doob(0.0, 1.0, 2.0),
        lambda: quadratic_variation_tail(1.0, 0.0),
        lambda: ville(-1.0),
        lambda: azuma_hoeffding(math.nan, [0.5], COMPONENT),
    ],
)
def test_what_no_bound_is_for_is_refused(call):
    with pytest.raises(InputError, match="expected"):
        call()


def gaussian_variance(schedule, v, s, t):
    """Var(M_s|x_t) = a_s^2/c_s - a_t^2/c_t of one Gaussian, c = a^2 v + sigma^2.

    With u = 1/SNR, a^2/c = 1/(v + u); the difference is written so that it keeps its digits.
    """
    high, low = schedule.log_snr(torch.tensor([s, t], dtype=torch.float64)).tolist()
    u_s, u_t = math.exp(-high), math.exp(-low)
    return u_s * math.expm1(high - low) / ((v + u_s) * (v + u_t))


@settings(max_examples=20)
@given(TIME_PAIRS, st.floats(0.05, 5))
def test_the_proxy_of_one_gaussian_is_its_variance_and_no_less(pair, v):
    exact = gaussian_variance(pair.schedule, v, pair.s, pair.t)
    proxy = variance_proxy(pair.schedule, v, 0.0, pair.s, pair.t)
    assert math.isclose(proxy, exact, rel_tol=1e-9)
    assert proxy >= exact * (1 - 1e-12)


def test_half_the_hessian_bound_gives_a_proxy_that_is_too_small(monkeypatch):
    exact = gaussian_variance(VPLinear(), 1.0, 0.2, 0.6)
    assert variance_proxy(VPLinear(), 1.0, 0.0, 0.2, 0.6) >= exact
    monkeypatch.setattr(concentration, "hessian_bound", lambda *a: hessian_bound(*a) / 2)
    assert variance_proxy(VPLinear(), 1.0, 0.0, 0.2, 0.6) == pytest.approx(exact / 4, rel=1e-6)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
def test_the_proxy_adds_up_over_time_and_grows_with_the_diameter(schedule):
    r, s, t = 0.1, 0.3, 0.7
    whole = variance_proxy(schedule, 0.5, 4.0, r, t)
    parts = variance_proxy(schedule, 0.5, 4.0, r, s) + variance_proxy(schedule, 0.5, 4.0, s, t)
    assert parts == pytest.approx(whole, rel=1e-6)
    assert variance_proxy(schedule, 0.5, 1.0, r, t) < whole


def scales(alpha, sigma):
    return torch.tensor(alpha, dtype=torch.float64), torch.tensor(sigma, dtype=torch.float64)


def largest_eigenvalue(means, weights, v, alpha, sigma, x):
    """|Hess log q_t|_op at x for the mixture with common covariance v I."""
    c = torch.full((len(means),), alpha**2 * v + sigma**2, dtype=torch.float64)
    law = GaussianMixture.diagonal(weights, alpha * means, c)
    return torch.linalg.eigvalsh(law.hessian(x)).abs().max().item()


def diameter(means):
    return torch.cdist(means, means).max().item()


@st.composite
def points_of_mixtures(draw):
    """Means and weights, and a point between or beside two of the means."""
    count, dimension = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    numbers = st.lists(st.floats(-8, 8), min_size=dimension, max_size=dimension)
    means = torch.tensor(
        draw(st.lists(numbers, min_size=count, max_size=count)), dtype=torch.float64
    )
    weights = draw(st.lists(st.floats(0.01, 1), min_size=count, max_size=count))
    i, j = draw(st.integers(0, count - 1)), draw(st.integers(0, count - 1))
    share = draw(st.floats(-0.5, 1.5))
    return means, torch.tensor(weights, dtype=torch.float64), torch.lerp(means[i], means[j], share)


@given(points_of_mixtures(), st.floats(0.05, 3), st.floats(0.05, 1), st.floats(0.05, 3))
def test_the_bound_dominates_the_exact_hessian(case, v, alpha, sigma):
    means, weights, between = case
    exact = largest_eigenvalue(means, weights, v, alpha, sigma, alpha * between)
    bound = hessian_bound(*scales(alpha, sigma), v, diameter(means)).item()
    assert exact <= bound * (1 + 1e-12)


@pytest.mark.parametrize("gap", [0.0, 1.0, 6.0])
def test_the_bound_is_attained_so_that_half_of_it_is_none(gap):
    """By one Gaussian, or midway between two equal components that are far apart."""
    alpha, sigma, v = 0.8, 0.5, 0.3
    means = torch.tensor([[0.0, 0.0], [gap, 0.0]], dtype=torch.float64)
    weights = torch.ones(2, dtype=torch.float64)
    exact = largest_eigenvalue(means, weights, v, alpha, sigma, alpha * means.mean(0))
    bound = hessian_bound(*scales(alpha, sigma), v, diameter(means)).item()
    assert exact == pytest.approx(bound, rel=1e-12)
    assert not exact <= bound / 2


@given(st.floats(1e-3, 100), st.integers(1, 10**6), st.floats(1e-12, 0.5))
def test_the_deviation_is_the_inverse_of_the_tail(variance, n, level):
    exponent = n * mean_deviation(variance, n, level) ** 2 / variance
    assert math.isclose(2 * math.exp(-exponent / 2), level, rel_tol=1e-12)
    assert not math.isclose(math.exp(-exponent / 2), level, rel_tol=1e-3)
    assert not math.isclose(2 * math.exp(-exponent), level, rel_tol=1e-3)


def test_the_deviation_covers_the_exact_gaussian_tail():
    for level in (0.3, 0.05, 1e-6):
        eps = mean_deviation(2.0, 50, level)
        exact = math.erfc(eps / math.sqrt(2 * 2.0 / 50))
        assert exact <= level
        assert math.erfc(eps / 4 / math.sqrt(2 * 2.0 / 50)) > level
