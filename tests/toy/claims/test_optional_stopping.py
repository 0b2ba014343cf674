"""A claim on stopping is of the way and the dimension that it says."""

import re

from toy.claims.optional_stopping import CLAIMS, LONG, SHORT, stopping_trial

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
