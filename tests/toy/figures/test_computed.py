"""Numbers of figures where they are known another way: nothing is in another's place."""

import pytest
import torch

from theory.diffusion.schedules import VPLinear
from toy.claims.likelihood import bound_terms
from toy.figures.likelihood_bounds import DATA, compute_divergences
from toy.figures.martingales import compute_residuals
from toy.figures.models import compute_recovery
from toy.strategies.likelihood import LikelihoodCase
from toy.strategies.time_pairs import time_pair


@pytest.mark.parametrize(
    ("family", "ends", "others"),
    [("by_slope", (0.55, 1.5), {"bias": 0.2}), ("by_bias", (-1.0, 1.0), {"slope": 0.8})],
)
def test_divergences_are_those_of_the_claim_each_with_its_bound(family, ends, others):
    found = getattr(compute_divergences(3), family)
    assert (found.parameter[0], found.parameter[-1]) == ends
    pair = time_pair(VPLinear(), 1.0, 0.0)
    for k, value in enumerate(found.parameter.tolist()):
        of = {"slope": value, "bias": value} | others
        terms = bound_terms(LikelihoodCase(DATA, pair, **of, centre=0.0, offset=0.0, ratio=1.3))
        assert (found.sde[k], found.ode[k]) == (terms.kl_sde, terms.kl_ode)
        assert found.sde_bound[k] == terms.kl_prior + terms.j_sm
        assert found.ode_bound[k] == terms.kl_prior + (terms.j_sm * terms.j_fisher) ** 0.5
    assert (found.sde < found.sde_bound).all()
    assert (found.ode < found.ode_bound).all()


def test_the_bias_is_recovered_with_less_error_than_by_the_plain_average():
    found = compute_recovery(0, dimension=16, images=200)
    value, lower, upper = found.recovered.T
    assert (found.error < found.plain_error).all()
    assert found.error.median() < found.plain_error.median() / 5
    covered = (lower <= found.planted) & (found.planted <= upper)
    assert covered.sum() >= 15, "of 20 intervals of 95 %"
    assert ((lower < value) & (value < upper)).all()


def test_the_martingale_leaves_no_residual_and_the_score_alone_does():
    found = compute_residuals(5)
    earlier = torch.ones(5, 5).triu(1).bool()
    assert torch.equal(found.martingale.isfinite(), earlier), "s is the row, t the column"
    assert found.martingale[earlier].max() < 1e-10
    assert found.without_alpha[earlier].min() > 1e-3
