"""Times and points for a user's own schedule and model: its own, wherever it has any."""

import math

import pytest
import torch

from tests.draws import drawn
from tests.refusals import refusal
from theory.diffusion.schedules import EDM, DiscreteSchedule, RectifiedFlow, VPLinear
from toy.falsifier.schedule_claims import consistency_claims, monotone_claims
from toy.falsifier.sweeps import SweptClaim, neighbouring_pairs, points_around, stratified
from toy.falsifier.user_cases import (
    moved_to_schedule,
    points_of,
    searched_log_snr,
    time_at,
    times_apart,
    times_found,
)
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.strategies.planted_errors import conversion_cases
from toy.strategies.time_pairs import MIN_GAP, TimePair

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


def ends_and_places(schedule, pairs):
    """Ends of the log-SNR, and that of the later and the earlier time of each pair."""
    each = [schedule.log_snr(float64([pair.t, pair.s])).tolist() for pair in pairs]
    return (*searched_log_snr(schedule), *zip(*each, strict=True))


def test_times_are_apart_from_each_other_and_from_the_ends():
    narrow = EDM(1.0, 1.003)
    low, high, later, earlier = ends_and_places(narrow, drawn(times_found(narrow)))
    least = MIN_GAP * (1 - 1e-6)
    assert min(later) - low >= least and high - max(earlier) >= least
    assert min(b - a for a, b in zip(later, earlier, strict=True)) >= least


def test_moved_times_keep_their_distance_or_the_most_that_there_is_room_for():
    narrow, near = EDM(1.0, 1.003), TimePair(EDM(), 2.0, 2.001)
    for pair in (near, TimePair(EDM(), 1.0, 4.0)):
        low, high, later, earlier = ends_and_places(narrow, drawn(times_apart(narrow, pair)))
        wanted = 2 * math.log(pair.t / pair.s)
        gaps = [b - a for a, b in zip(later, earlier, strict=True)]
        assert gaps == pytest.approx([min(wanted, high - low - 2 * MIN_GAP)] * len(gaps), rel=1e-6)
        assert min(min(later) - low, high - max(earlier)) >= MIN_GAP / 2 * (1 - 1e-6)


def test_claims_on_a_schedule_are_swept_over_the_times_of_the_runs_seed():
    schedule = RectifiedFlow()
    claims = (*monotone_claims(schedule), *consistency_claims(schedule))
    swept = [claim for claim in claims if isinstance(claim, SweptClaim)]
    assert [claim.id for claim in claims if claim not in swept] == ["ends"]
    for claim in swept:
        pairs = [pair for _, pair in claim.sweep(1)]
        assert pairs == list(neighbouring_pairs(schedule, 1)), claim.id


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
