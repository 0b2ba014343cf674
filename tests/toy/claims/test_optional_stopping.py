"""A claim on stopping is of the way and the dimension that it says."""

import re
from dataclasses import replace

import pytest
import torch

from theory.bounds.optional_stopping import RandomClock
from toy.claims import optional_stopping
from toy.claims.optional_stopping import (
    CLAIMS,
    LONG,
    OUTWARDS,
    SHORT,
    probability_trial,
    starts,
    stopping_times,
    stopping_trial,
)
from toy.judge.claim import LEVEL
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.reverse_paths import mixture_on_sphere, reverse_paths, two_components

OF_PATHS = [claim for claim in CLAIMS if getattr(claim.trial, "func", None) is stopping_trial]


def test_a_claim_is_of_the_way_and_the_dimension_that_it_says():
    assert len(OF_PATHS) == 4
    for claim in OF_PATHS:
        setting = LONG if "a long way under rectified flow" in claim.says else SHORT
        dimension = int(re.search(r"d = (\d+)", claim.says)[1])
        assert claim.trial.keywords == {"setting": setting, "dimension": dimension}
        for mutant in claim.mutants:
            assert mutant.check.func is stopping_trial
            assert claim.trial.keywords.items() <= mutant.check.keywords.items()
    assert {claim.trial.keywords["dimension"] for claim in OF_PATHS} == {1, 8, 64}


@pytest.fixture
def asked(monkeypatch):
    """What a threshold is asked for with eight paths: variance proxies, their number and levels."""
    found = []
    monkeypatch.setattr(optional_stopping, "COUNT", 8)
    monkeypatch.setattr(optional_stopping, "starts", optional_stopping.starts.__wrapped__)
    monkeypatch.setattr(
        optional_stopping, "mean_deviation", lambda *given: found.append(given) or 1.0
    )
    return found


@pytest.mark.parametrize("setting", [SHORT, LONG], ids=["short", "long"])
def test_thresholds_are_of_the_way_and_of_where_it_starts(asked, setting):
    """From x_T ~ q_T the spread of M_T, alpha^2 / (alpha^2 v + sigma^2), is added."""
    units = 11 + len(setting.weights)
    stopping_trial(0, setting, 8)
    t = torch.tensor(setting.start)
    alpha, sigma = setting.schedule.alpha(t).item(), setting.schedule.sigma(t).item()
    at_start = alpha**2 / (alpha**2 * setting.variance + sigma**2)
    proxies, counts, levels = zip(*asked, strict=True)
    assert proxies == pytest.approx((setting.proxy(), setting.proxy() + at_start))
    assert counts == (8, 8)
    (level,) = set(levels)
    assert level == LEVEL / (2 * 6 * units)


def test_a_probability_varies_by_a_quarter_at_most(asked):
    probability_trial(0)
    assert asked == [(0.25, 8, LEVEL / (6 * len(LONG.weights)))]


def test_the_random_clock_has_the_seed_of_the_run():
    times, x = torch.tensor([0.5, 0.4, 0.3]).double(), torch.zeros(4, 2).double()
    paths = reverse_paths(two_components(2, 1.0, 1.0), x, times, torch.Generator().manual_seed(0))
    (clock,) = (rule for rule in stopping_times(SHORT, 7)(paths) if isinstance(rule, RandomClock))
    low, high = paths.log_snr[[0, -1]].tolist()
    assert clock == RandomClock(2 / (high - low), 7)


@pytest.mark.parametrize("seed", range(12))
def test_the_given_start_lies_as_far_from_a_mean_at_every_seed(seed):
    """Where all is symmetric about it, a choice that looks ahead would go unseen."""
    start = starts.__wrapped__(replace(SHORT, steps=2), 1, seed)[0].paths.x[0, 0]
    data = mixture_on_sphere(
        1, SHORT.weights, SHORT.diameter, SHORT.variance, torch.Generator().manual_seed(seed)
    )
    mean = Diffusion(data, SHORT.schedule).marginal(SHORT.start).means[0]
    assert torch.allclose((start - mean).abs(), torch.tensor([OUTWARDS]).double())


@pytest.mark.parametrize("mutant", OF_PATHS[0].mutants, ids=lambda mutant: mutant.id)
def test_a_choice_that_looks_ahead_falls_where_a_typical_point_is_in_the_middle(mutant):
    """In one dimension a point drawn with this seed lies at 0.06, between means at 1 and -1."""
    assert mutant.check(8).deviation > 3
