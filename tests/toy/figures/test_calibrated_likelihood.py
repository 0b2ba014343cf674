"""The divergences that the figure shows, where they are known, and that it shows both effects."""

from dataclasses import replace

import pytest
import torch

from theory.diffusion.schedules import VPLinear
from toy.claims.likelihood_whole import whole_bound_terms
from toy.figures.calibrated_likelihood import DATA, affine_case, compute_changes, ode_divergences
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.strategies.time_pairs import time_pair


def diffusion(schedule):
    means = torch.tensor([[-1.0], [0.5], [2.0]])
    data = GaussianMixture.diagonal(
        torch.tensor([0.5, 0.3, 0.2]), means, torch.tensor([0.2, 1, 0.5])
    )
    return Diffusion(data, schedule)


def test_the_flow_of_the_exact_score_loses_nothing():
    pair = affine_case(-4.0).times
    law, zero = diffusion(VPLinear()), torch.zeros(1, dtype=torch.float64)
    assert abs(ode_divergences(law, pair, 0.0, zero).item()) < 1e-6
    assert ode_divergences(law, pair, 0.1, zero).item() > 1e-3


def test_the_bound_falls_and_the_divergences_follow_or_do_not():
    found = compute_changes(7)
    for changes in (found.matched, found.missed, found.sloped):
        assert (changes.change["j_sm"] <= 1e-12).all()
        assert changes.change["j_sm"].min() < -1e-2
    assert all((change <= 1e-12).all() for change in found.matched.change.values())
    assert found.missed.change["kl_sde"].max() > 5e-3
    assert found.missed.change["kl_ode"].max() > 1e-2
    assert found.sloped.change["kl_ode"].max() > 2e-2
    assert found.missed.log_snr == pytest.approx(-1.0)


def test_a_change_is_what_is_calibrated_less_what_is_not():
    found, missed = compute_changes(3), affine_case(-1.0)
    before = replace(missed, bias=found.missed.bias[0].item())
    for name, change in found.missed.change.items():
        of = (getattr(whole_bound_terms(case), name) for case in (before.calibrated(), before))
        assert change[0].item() == pytest.approx(next(of) - next(of), abs=1e-9)
    pair, bias = time_pair(VPLinear(), 5.0, -8.0), found.sloped.bias[-1].item()
    law = Diffusion(DATA.mixture(), VPLinear())
    after, uncalibrated = ode_divergences(law, pair, 0.2, float64([0.0, bias])).tolist()
    assert found.sloped.change["kl_ode"][-1].item() == pytest.approx(after - uncalibrated, abs=1e-5)
