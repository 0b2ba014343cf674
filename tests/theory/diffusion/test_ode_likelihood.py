"""The ODE's likelihood, against Gaussians whose flow is known."""

import math

import pytest
import torch

from theory.diffusion.ode_likelihood import ode_log_likelihood
from theory.diffusion.schedules import EDM, RectifiedFlow, VPLinear

MEAN, VARIANCE = torch.tensor([0.5, -1.0]).double(), 0.7
TIMES = {VPLinear(): (0.2, 0.6), EDM(): (0.3, 1.5), RectifiedFlow(): (0.2, 0.6)}


def gaussian(schedule, t):
    t = torch.as_tensor(t, dtype=torch.float64)
    return schedule.alpha(t) * MEAN, schedule.alpha(t) ** 2 * VARIANCE + schedule.sigma(t) ** 2


def log_density(schedule, t, x):
    mean, c = gaussian(schedule, t)
    return -((x - mean) ** 2).sum(1) / (2 * c) - torch.log(2 * math.pi * c)


def by_ode(schedule, x, share=1.0):
    s, t = TIMES[schedule]

    def model(x, time):
        mean, c = gaussian(schedule, time)
        return -share * (x - mean) / c, torch.full((len(x),), -2 * share).double() / c

    return ode_log_likelihood(model, lambda x: log_density(schedule, t, x), schedule, x, s, t)


@pytest.mark.parametrize("schedule", TIMES, ids=lambda s: s.name)
def test_likelihood_of_a_gaussian_in_two_dimensions(schedule):
    x = torch.tensor([[0.0, 0.0], [1.0, -2.0], [5.0, 3.0]]).double()
    exact = log_density(schedule, TIMES[schedule][0], x)
    torch.testing.assert_close(by_ode(schedule, x), exact, rtol=1e-9, atol=1e-9)
    assert bool(((by_ode(schedule, x, share=2.0) - exact).abs() > 1e-3).all())
