"""Marginals at many times against those at one, and the rule over log-SNR."""

import pytest
import torch

from theory.diffusion.schedules import EDM, RectifiedFlow, VPLinear
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture
from toy.numerics.marginals_over_time import MarginalsOverTime, log_snr_panels

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
def test_marginals_are_the_marginals(schedule):
    times = some_times(schedule)
    marginals = MarginalsOverTime.of(diffusion(schedule), times)
    x, weights = marginals.points()
    for k, t in enumerate(times.tolist()):
        law = diffusion(schedule).marginal(t)
        torch.testing.assert_close(marginals.log_density(x)[k], law.log_density(x[k][:, None]))
        torch.testing.assert_close(marginals.score(x)[k], law.score(x[k][:, None])[:, 0])
        assert weights[k].sum().item() == pytest.approx(1.0, abs=1e-13)
        assert (weights[k] @ x[k]).item() == pytest.approx(law.mean().item(), rel=1e-12)
        assert (weights[k] @ marginals.score(x)[k]).item() == pytest.approx(0.0, abs=1e-12)


def test_log_snr_panels_integrate_over_log_snr():
    schedule = VPLinear()
    s, _, t = some_times(schedule).tolist()
    times, weights = log_snr_panels(schedule, s, t)
    assert weights.sum().item() == pytest.approx(9.0, rel=1e-12)
    powers = weights @ schedule.log_snr(times) ** 3
    assert powers.item() == pytest.approx((4.0**4 - 5.0**4) / 4, rel=1e-11)
