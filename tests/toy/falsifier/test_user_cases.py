"""Times and points for a user's own schedule and model: its own, wherever it has any."""

import pytest
import torch

from tests.draws import drawn
from tests.refusals import refusal
from theory.diffusion.schedules import EDM, DiscreteSchedule, RectifiedFlow, VPLinear
from toy.falsifier.sweeps import points_around, stratified
from toy.falsifier.user_cases import (
    moved_to_schedule,
    points_of,
    searched_log_snr,
    time_at,
    times_found,
)
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.strategies.planted_errors import conversion_cases

TABLE = DiscreteSchedule([0.99, 0.7, 0.3, 0.01])


@pytest.mark.parametrize("schedule", [VPLinear(), EDM(), RectifiedFlow()], ids=lambda s: s.name)
def test_a_time_has_the_log_snr_that_is_looked_for(schedule):
    for log_snr in (-3.0, 0.0, 2.5):
        t = float64(time_at(schedule, log_snr))
        assert schedule.log_snr(t).item() == pytest.approx(log_snr, abs=1e-9)


def test_a_log_snr_that_hardly_falls_is_refused():
    assert searched_log_snr(EDM(1.0, 1.1))
    with refusal("expected a log-SNR that falls by more than 0.005"):
        searched_log_snr(EDM(1.0, 1.0001))


@pytest.mark.parametrize("schedule", [VPLinear(), TABLE], ids=["smooth", "table"])
def test_times_are_the_schedules_own_in_order(schedule):
    pairs = drawn(times_found(schedule))
    assert all(schedule.t_min <= pair.s < pair.t <= schedule.t_max for pair in pairs)
    assert schedule is not TABLE or {pair.t for pair in pairs} == {1.0, 2.0, 3.0}


def test_a_case_that_is_moved_has_the_schedule_and_a_time_of_it():
    other = RectifiedFlow(0.3, 0.6)
    moved = drawn(moved_to_schedule(conversion_cases(), other))
    assert all(case.schedule is other and 0.3 <= case.t <= 0.6 for case in moved)


def test_points_lie_up_to_five_deviations_from_a_component():
    law = GaussianMixture.diagonal(torch.ones(1), float64([[2.0]]), float64([0.25]))
    diffusion = Diffusion(law, TABLE)
    found = []
    for point in drawn(points_of(diffusion), 150):
        at_t = diffusion.marginal(point.t)
        found.append((point.x_t[0] - at_t.means.item()) / at_t.variances.sqrt().item())
    assert -5 <= min(found) < -4.5 and 4.5 < max(found) <= 5


def test_swept_points_lie_around_every_component_in_its_own_deviations():
    means = float64([[0.0, 0.0], [1e4, 0.0], [0.0, 1e4]])
    narrow = float64([[1.0, 0.999], [0.999, 1.0]]).expand(3, 2, 2)
    law = GaussianMixture.full(torch.ones(3), means, narrow)
    off = points_around(law, 0)[:, None] - means
    radii = torch.einsum("nki,ij,nkj->nk", off, torch.linalg.inv(narrow[0]), off).sqrt()
    nearest, own = radii.min(1)
    assert set(own.tolist()) == {0, 1, 2}
    assert nearest.max().item() == pytest.approx(30.0)
    assert nearest.min() < 1


def test_swept_times_come_as_near_to_the_ends_as_an_error_could_hide():
    times = float64(stratified(VPLinear(), 0))
    assert times[1] < 1e-6 and 1 - times[-2] < 1e-6
