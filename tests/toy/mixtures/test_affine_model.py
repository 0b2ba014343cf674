"""Affine models against the diffusions and the laws that they stand for."""

from dataclasses import replace

import pytest
import torch

from theory.diffusion.schedules import EDM, RectifiedFlow, VPLinear
from toy.mixtures.affine_model import AffineModel
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture
from toy.numerics.marginals_over_time import MarginalsOverTime

SCHEDULES = (VPLinear(), EDM(), RectifiedFlow())


def diffusion(schedule):
    means = torch.tensor([[-1.0], [0.5], [2.0]])
    data = GaussianMixture.diagonal(
        torch.tensor([0.5, 0.3, 0.2]), means, torch.tensor([0.2, 1, 0.5])
    )
    return Diffusion(data, schedule)


def some_times(schedule):
    return schedule.time_of(torch.tensor([4.0, 0.0, -5.0], dtype=torch.float64))


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
    x, weights = MarginalsOverTime.of(diffusion(schedule), times).points()
    mean = diffusion(schedule).data.mean().item()
    for each in (model, model.calibrated(mean)):
        by_quadrature = (weights * each.score(x, times[:, None])).sum(1)
        torch.testing.assert_close(
            by_quadrature, each.mean_score(mean, times), atol=1e-13, rtol=1e-11
        )
    assert (model.mean_score(mean, times).abs() > 1e-3).all()
    assert model.calibrated(mean).mean_score(mean, times).abs().max() == 0
