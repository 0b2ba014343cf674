"""Bets: fair under the hypothesis, rich under others, and bounds that hold at every n."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from tests.draws import normal
from tests.refusals import refusal
from theory.statistics.betting import BOLDNESS, bets, lower_bound, wealth

N = 8
PATHS = torch.tensor(list(product((0, 1), repeat=N)), dtype=torch.float64)


def expected_wealth(low, high, of=wealth):
    """E W_n over all paths of two points low < 0 < high with mean zero."""
    up = -low / (high - low)
    probability = (up * PATHS + (1 - up) * (1 - PATHS)).prod(1)
    z = low + (high - low) * PATHS
    return probability @ of(z)


@given(st.floats(-1, -0.01), st.floats(0.01, 1))
def test_a_bet_is_fair_at_every_time(low, high):
    assert (expected_wealth(low, high) - 1).abs().max() < 1e-12


def test_a_bet_that_knows_the_present_is_not():
    def peeking(z):
        known = torch.cat([z[..., 1:], z[..., -1:]], -1)
        return torch.cumprod(1 + bets(known).roll(0, -1) * z + 0.5 * z.sign() * z, -1)

    assert (expected_wealth(-0.5, 0.5, peeking) - 1).abs().max() > 0.01


@given(st.floats(0.05, 1), st.integers(0, 2**N - 1))
def test_wealth_is_never_negative_and_stakes_know_the_past_alone(size, path):
    z = size * (2 * PATHS[path] - 1)
    assert (wealth(z) >= 0).all()
    assert bets(z).abs().max() <= BOLDNESS
    other = torch.cat([z[:4], -z[4:]])
    assert torch.equal(bets(z)[:5], bets(other)[:5])
    with refusal("from -1 to 1"):
        wealth(1.5 * z / size)


def test_a_small_mean_is_found_and_none_is_not():
    noise = 0.1 * normal(0, 200, 400, 1)[..., 0].clamp(-5, 5)
    found = (wealth(noise + 0.05).amax(1) >= 20).double().mean()
    assert found > 0.99
    false = int((wealth(noise).amax(1) >= 20).sum())
    assert false <= binom.isf(1e-6, 200, 0.05)


def richest(values, mean):
    """The largest wealth of bets that the mean of values in [0, 1] is larger, one factor at a time."""
    wealth_now = largest = 1.0
    for n, value in enumerate(values):
        before = values[:n]
        guess = (sum(before) + 0.5) / (n + 1)
        variance = (sum(v * v for v in before) + 0.5) / (n + 1) - guess**2
        stake = max(0.0, (guess - mean) / (variance + (guess - mean) ** 2))
        wealth_now *= 1 + min(stake, BOLDNESS / mean) * (value - mean)
        assert wealth_now >= 0
        largest = max(largest, wealth_now)
    return largest


@given(st.lists(st.floats(0, 1), min_size=5, max_size=12), st.sampled_from([0.05, 0.3]))
def test_a_lower_bound_is_the_largest_mean_that_makes_rich(values, error):
    bound = lower_bound(torch.tensor(values, dtype=torch.float64), 0.0, 1.0, error)
    if bound > 0:
        assert richest(values, bound) >= 1 / error
    assert richest(values, bound + 1 / 2000) < 1 / error


def lognormal(u):
    """A fifth of a lognormal, cut at one, from uniform numbers."""
    return (torch.special.ndtri(u).exp() / 5).clamp(max=1)


GRID = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
LAWS = {
    "two points": (lambda u: (u < 0.02).double(), 0.02),
    "gaussian": (lambda u: (0.5 + 0.1 * torch.special.ndtri(u)).clamp(0, 1), 0.5),
    "lognormal": (lognormal, lognormal(GRID).mean().item()),
    "nearly sure": (lambda u: 0.7 + 0.01 * u, 0.705),
}
RUNS = 100


@pytest.mark.parametrize("n", [20, 50, 100, 400])
def test_a_lower_bound_fails_no_more_often_than_it_says(n):
    """More failures of a true 5 % would have probability 1e-6 over all laws and sizes."""
    for name, (law, mean) in LAWS.items():
        u = torch.rand(RUNS, n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
        bounds = [lower_bound(values, 0.0, 1.0, 0.05) for values in law(u)]
        failures = sum(bound > mean for bound in bounds)
        assert failures <= binom.isf(1e-6 / 16, RUNS, 0.05), name


def test_a_lower_bound_comes_near_and_heavy_tails_may_be_cut():
    u = torch.rand(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert 0.45 < lower_bound(u, 0.0, 1.0, 0.05) < 0.5
    assert 0.69 < lower_bound(0.7 + 0.01 * u, 0.0, 1.0, 0.05) < 0.705
    lognormal = (2 * normal(1, 1, 1000, 1)[0, :, 0]).exp()
    assert 0 <= lower_bound(lognormal, 0.0, 5.0, 0.05) < lognormal.clamp(max=5).mean()
    assert lower_bound(u[:3], 0.0, 1.0, 0.05) < 0.1
    assert lower_bound(-3 + 2 * u, -3.0, -1.0, 0.05) == pytest.approx(
        -3 + 2 * lower_bound(u, 0.0, 1.0, 0.05)
    )


def test_what_is_not_bounded_is_refused():
    for values, least, most in (([-0.1], 0.0, 1.0), ([0.5], 1.0, 1.0)):
        with refusal("expected values of at least", values):
            lower_bound(torch.tensor(values, dtype=torch.float64), least, most, 0.05)
