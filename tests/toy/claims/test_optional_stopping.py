"""A claim on stopping is of the way and the dimension that it says."""

import re

import torch

from theory.bounds.optional_stopping import RandomClock
from toy.claims.optional_stopping import CLAIMS, LONG, SHORT, stopping_times, stopping_trial
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


def test_the_random_clock_has_the_seed_of_the_run():
    times, x = torch.tensor([0.5, 0.4, 0.3]).double(), torch.zeros(4, 2).double()
    paths = reverse_paths(two_components(2, 1.0, 1.0), x, times, torch.Generator().manual_seed(0))
    (clock,) = (rule for rule in stopping_times(SHORT, 7)(paths) if isinstance(rule, RandomClock))
    low, high = paths.log_snr[[0, -1]].tolist()
    assert clock == RandomClock(2 / (high - low), 7)
