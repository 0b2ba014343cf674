"""Analytic-DPM's variance, where it has a closed form."""

import pytest
import torch

from theory.diffusion.reverse_variance import optimal_variance
from theory.diffusion.schedules import EDM, RectifiedFlow, VPLinear

S, T = torch.tensor([0.3, 0.7], dtype=torch.float64)


def test_the_variance_of_gaussian_data():
    for schedule in (VPLinear(), EDM(), RectifiedFlow()):
        _, v = schedule.transition(S, T)
        c_s, c_t = (schedule.alpha(u) ** 2 * 0.25 + schedule.sigma(u) ** 2 for u in (S, T))
        found = optimal_variance(schedule, S, T, schedule.sigma(T) ** 2 / c_t)
        assert found.item() == pytest.approx((v * c_s / c_t).item(), rel=1e-10), schedule


def test_its_two_ends_and_no_more():
    schedule = VPLinear()
    a, v = schedule.transition(S, T)
    known, unknown, beyond = (
        optimal_variance(schedule, S, T, torch.tensor(energy, dtype=torch.float64))
        for energy in (1.0, 0.0, 1.5)
    )
    smaller = v * schedule.sigma(S) ** 2 / schedule.sigma(T) ** 2
    assert known.item() == pytest.approx(smaller.item(), rel=1e-10)
    assert unknown.item() == pytest.approx((v / a**2).item(), rel=1e-10)
    assert beyond == known
