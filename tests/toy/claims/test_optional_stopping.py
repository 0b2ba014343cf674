"""A claim on stopping is of the way and the dimension that it says."""

import re

import pytest
import torch

from theory.bounds.optional_stopping import RandomClock
from toy.claims import optional_stopping
from toy.claims.optional_stopping import (
    CLAIMS,
    LONG,
    SHORT,
    probability_trial,
    stopping_times,
    stopping_trial,
)
from toy.judge.claim import LEVEL
from toy.mixtures.reverse_paths import reverse_paths, two_components

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
