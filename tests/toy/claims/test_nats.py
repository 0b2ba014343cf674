"""Affine models and lines over time against what they stand for, and what calibration is found to do."""

from dataclasses import replace

import pytest
import torch

from theory.diffusion.schedules import EDM, RectifiedFlow, VPLinear
from toy.claims.nats import times_and_weights, whole_pieces
from toy.figures.calibrated import _affine, _ode_divergences, calibrated
from toy.mixtures.affine_model import AffineModel
from toy.mixtures.diffusion import Diffusion, as_time
from toy.mixtures.mixture import GaussianMixture
from toy.numerics.line_quadrature import Lines

SCHEDULES = (VPLinear(), EDM(), RectifiedFlow())


def diffusion(schedule):
    means = torch.tensor([[-1.0], [0.5], [2.0]])
    data = GaussianMixture.diagonal(
        torch.tensor([0.5, 0.3, 0.2]), means, torch.tensor([0.2, 1, 0.5])
    )
    return Diffusion(data, schedule)


def some_times(schedule):
    return schedule.time_of(torch.tensor([4.0, 0.0, -5.0], dtype=torch.float64))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
def test_lines_are_the_marginals(schedule):
    times = some_times(schedule)
    lines = Lines.of(diffusion(schedule), times)
    x, weights = lines.points()
    for k, t in enumerate(times.tolist()):
        law = diffusion(schedule).marginal(t)
        torch.testing.assert_close(lines.log_density(x)[k], law.log_density(x[k][:, None]))
        torch.testing.assert_close(lines.score(x)[k], law.score(x[k][:, None])[:, 0])
        assert weights[k].sum().item() == pytest.approx(1.0, abs=1e-13)
        assert (weights[k] @ x[k]).item() == pytest.approx(law.mean().item(), rel=1e-12)
        assert (weights[k] @ lines.score(x)[k]).item() == pytest.approx(0.0, abs=1e-12)


def gaussian_model(schedule, mean=0.7, variance=0.5, t=None):
    """The exact model of N(mean, variance), from the exact prior."""
    return AffineModel(schedule, 1.0, mean, 0.0, variance, mean, 1.0)


def same(one, other):
    return torch.allclose(one.means, other.means, rtol=1e-12) and torch.allclose(
        one.variances, other.variances, rtol=1e-11
    )


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
def test_the_exact_model_of_a_gaussian_reaches_its_marginals(schedule):
    data = GaussianMixture.diagonal(
        torch.ones(1), torch.tensor([[0.7]]).double(), torch.tensor([0.5])
    )
    exact, model = Diffusion(data, schedule), gaussian_model(schedule, mean=data.means.item())
    s, _, t = some_times(schedule).tolist()
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None]
    torch.testing.assert_close(model.score(x, s), exact.marginal(s).score(x))
    for law in (model.sde_law(s, t), model.ode_law(s, t)):
        assert same(law, exact.marginal(s))
    for wrong in (
        replace(model, slope=0.9),
        replace(model, bias=0.1),
        replace(model, deviation=2.0),
    ):
        assert not same(wrong.ode_law(s, t), exact.marginal(s))
    assert not same(replace(model, slope=0.9).sde_law(s, t), exact.marginal(s))


def test_laws_compose():
    schedule, model = VPLinear(), AffineModel(VPLinear(), 1.2, 0.3, -0.4, 0.6, 5.0, 1.4)
    s, r, t = some_times(schedule)
    for moments in (AffineModel.sde_moments, AffineModel.ode_moments):
        mean, variance = moments(model, r, t)
        spread = model.variance + torch.exp(-schedule.log_snr(r))
        halfway = replace(model, mean=mean.item(), deviation=(variance / spread).sqrt().item())
        for whole, composed in zip(moments(model, s, t), moments(halfway, s, r), strict=True):
            assert composed.item() == pytest.approx(whole.item(), rel=1e-12)


def test_a_calibrated_model_has_a_score_of_mean_zero():
    schedule, model = VPLinear(), AffineModel(VPLinear(), 1.2, 0.3, -0.4, 0.6, 5.0, 1.4)
    times = some_times(schedule)
    x, weights = Lines.of(diffusion(schedule), times).points()
    mean = diffusion(schedule).data.mean().item()
    for each in (model, model.calibrated(mean)):
        by_quadrature = (weights * each.score(x, times[:, None])).sum(1)
        torch.testing.assert_close(
            by_quadrature, each.mean_score(mean, times), atol=1e-13, rtol=1e-11
        )
    assert (model.mean_score(mean, times).abs() > 1e-3).all()
    assert model.calibrated(mean).mean_score(mean, times).abs().max() == 0


def test_times_and_weights_integrate_over_log_snr():
    schedule = VPLinear()
    s, _, t = some_times(schedule).tolist()
    times, weights = times_and_weights(schedule, s, t)
    assert weights.sum().item() == pytest.approx(9.0, rel=1e-12)
    powers = weights @ schedule.log_snr(times) ** 3
    assert powers.item() == pytest.approx((4.0**4 - 5.0**4) / 4, rel=1e-11)


def test_nothing_is_left_of_the_bound_where_the_score_is_that_of_the_models_law():
    case = replace(_affine(-9.5), slope=1.0, offset=0.0)
    exact_prior = replace(case, centre=0.0)
    assert whole_pieces(exact_prior).j_left < 1e-15
    assert whole_pieces(case).j_left > 1e-7


def test_the_flow_of_the_exact_score_loses_nothing():
    pair = _affine(-4.0).times
    law, zero = diffusion(VPLinear()), torch.zeros(1, dtype=torch.float64)
    assert abs(_ode_divergences(law, pair, 0.0, zero).item()) < 1e-6
    assert _ode_divergences(law, pair, 0.1, zero).item() > 1e-3


def test_the_bound_falls_and_the_divergences_follow_or_do_not():
    found = calibrated(7)
    for changes in (found.matched, found.missed, found.sloped):
        assert (changes.change["j_sm"] <= 1e-12).all()
        assert changes.change["j_sm"].min() < -1e-2
    assert all((change <= 1e-12).all() for change in found.matched.change.values())
    assert found.missed.change["kl_sde"].max() > 5e-3
    assert found.missed.change["kl_ode"].max() > 1e-2
    assert found.sloped.change["kl_ode"].max() > 2e-2
    assert as_time(found.missed.log_snr).item() == pytest.approx(-1.0)
