"""What the bound exceeds the divergence by, where that is known."""

from dataclasses import replace

from toy.claims.likelihood_whole import whole_bound_terms
from toy.figures.calibrated_likelihood import affine_case


def test_nothing_is_left_of_the_bound_where_the_score_is_that_of_the_models_law():
    case = replace(affine_case(-9.5), slope=1.0, offset=0.0)
    exact_prior = replace(case, centre=0.0)
    assert whole_bound_terms(exact_prior).j_left < 1e-15
    assert whole_bound_terms(case).j_left > 1e-7
