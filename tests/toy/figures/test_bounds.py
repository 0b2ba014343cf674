"""Frequencies of the figures' bounds against the closed forms, and means at stopping times."""

import math

import pytest
import torch
from scipy.stats import norm

from tests.draws import normal
from theory.bounds.optional_stopping import RandomClock
from toy.figures import bounds
from toy.figures.bounds import compute_azuma, compute_stopping, compute_tails


def test_tails_of_a_supremum_are_those_of_brownian_motion_and_under_their_bounds():
    found = compute_tails(0, 1000, 40)
    eps = found.eps
    twice = torch.from_numpy(2 * norm.sf(eps.numpy()))
    assert torch.allclose(found.exact, twice, rtol=1e-9)
    assert torch.allclose(found.bound, torch.exp(-(eps**2) / 2))
    for p, moment in (("1", math.sqrt(2 / math.pi)), ("2", 1), ("4", 3), ("8", 105)):
        bound = (moment / eps ** int(p)).clamp(max=1)
        assert torch.allclose(found.doob[p], bound)
        assert (found.exact_absolute <= bound + 1e-9).all()
    assert (found.exact_absolute >= twice - 1e-9).all()
    assert (found.exact_absolute <= 2 * twice + 1e-9).all()
    for seen, exact, most in (
        (found.gaussian, found.exact, found.exact),
        (found.mixture, found.exact / 2, found.bound),
        (found.absolute, found.exact_absolute, found.exact_absolute),
    ):
        assert torch.equal(seen.eps, eps[1::3])
        assert (seen.lower <= most[1::3]).all()
        assert (seen.upper >= 0.6 * exact[1::3]).all()


def test_means_of_a_probability_stay_under_the_inequality_and_those_of_the_score_do_not():
    found = compute_azuma(0, 500)
    assert found.group == 10
    bound = (2 * torch.exp(-2 * 10 * found.eps**2)).clamp(max=1)
    assert torch.allclose(found.bound, bound)
    assert torch.equal(found.probability.eps, found.eps[2::3])
    assert (found.probability.lower <= bound[2::3]).all()
    assert (found.score.lower > bound[2::3]).any()
    normal_tails = torch.from_numpy(2 * norm.sf(found.score.eps.numpy() * math.sqrt(10)))
    assert torch.allclose(found.score.share, normal_tails, atol=0.1), "in deviations of the score"


def test_means_at_stopping_times_keep_the_value_and_choices_in_hindsight_do_not():
    found = compute_stopping(0, 2000, 40)
    assert found.honest == [True] * 6 + [False] * 2
    assert found.names[-2:] == ["last exit", "largest $|M|$"]
    assert len(set(found.names)) == 8 and found.count == 2000
    honest = torch.tensor(found.honest)
    within = found.values.abs() <= 1.5 * found.errors
    assert within[honest].all()
    assert not within[~honest].any()


def test_a_mean_at_a_stopping_time_has_its_interval_of_99_percent(monkeypatch):
    """Along the start's own direction, of other values for each rule."""
    at_stop, asked = normal(0, 8, 50, 8), []

    def stopped(paths, index):
        asked.append(paths.martingale[0, 0])
        return at_stop[len(asked) - 1]

    monkeypatch.setattr(bounds, "stopped", stopped)
    found = compute_stopping(0, 50, 10)
    start = asked[0]
    gains = (at_stop - start) @ (start / start.norm())
    half = norm.isf(0.005) * gains.std(1) / math.sqrt(50)
    assert found.values.tolist() == pytest.approx(gains.mean(1).tolist())
    assert found.errors.tolist() == pytest.approx(half.tolist(), rel=1e-3)


def test_the_random_clock_has_the_seed_of_the_figure(monkeypatch):
    asked = []
    monkeypatch.setattr(
        bounds, "RandomClock", lambda rate, seed: asked.append(seed) or RandomClock(rate, seed)
    )
    compute_stopping(3, 20, 6)
    assert asked == [3]
