"""One step of the reverse SDE, by hand."""

import torch

from theory.diffusion.euler_maruyama import euler_maruyama_step
from theory.diffusion.schedules import EDM, RectifiedFlow


def step(schedule, noise):
    s, t = torch.tensor([0.5, 0.6], dtype=torch.float64)
    x, z = torch.tensor([[1.0, -2.0]]).double(), torch.tensor([[noise, 0.0]], dtype=torch.float64)
    return euler_maruyama_step(lambda x, t: -x, schedule, x, s, t, z)[0].tolist()


def test_variance_exploding_step():
    drift, deviation = 2 * 0.6 * 0.1, (2 * 0.6 * 0.1) ** 0.5
    first, second = step(EDM(), noise=1.0)
    assert abs(first - (1 - drift + deviation)) < 1e-14
    assert abs(second - (-2 + 2 * drift)) < 1e-14


def test_linear_drift_is_run_backwards():
    f, g_sq = -1 / 0.4, 2 * 0.6 * (1 + 0.6 / 0.4)
    first, _ = step(RectifiedFlow(), noise=0.0)
    assert abs(first - (1 - 0.1 * (f + g_sq))) < 1e-12
    assert abs(first - (1 + 0.1 * (f + g_sq))) > 0.1
