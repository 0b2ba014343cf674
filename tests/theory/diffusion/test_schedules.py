"""Schedules against their textbook formulas, their own derivatives, and bad input."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from theory.diffusion import schedules
from theory.diffusion.schedules import (
    EDM,
    DiscreteSchedule,
    RectifiedFlow,
    SubVP,
    VariancePreserving,
    VEGeometric,
    VPCosine,
    VPLinear,
    from_description,
)
from theory.support.errors import InputError
from toy.strategies.time_pairs import SCHEDULES as ANY_SCHEDULE

TABLE = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
DISCRETE = DiscreteSchedule(TABLE)
SCHEDULES = (VPLinear(), VPCosine(), SubVP(), VEGeometric(), EDM(), RectifiedFlow(), DISCRETE)
TEXTBOOK = {
    VPLinear(0.1, 20.0): lambda t: (
        math.exp(-0.25 * t**2 * 19.9 - 0.05 * t),
        math.sqrt(1 - math.exp(-0.5 * t**2 * 19.9 - 0.1 * t)),
    ),
    SubVP(0.1, 20.0): lambda t: (
        math.exp(-0.25 * t**2 * 19.9 - 0.05 * t),
        1 - math.exp(-0.5 * t**2 * 19.9 - 0.1 * t),
    ),
    VPCosine(0.008): lambda t: (cosine(t), math.sqrt(1 - cosine(t) ** 2)),
    VEGeometric(0.01, 50.0): lambda t: (1.0, 0.01 * 5000**t),
    EDM(): lambda t: (1.0, t),
    RectifiedFlow(): lambda t: (1 - t, t),
}


def cosine(t):
    def unscaled(t):
        return math.cos((t + 0.008) / 1.008 * math.pi / 2)

    return unscaled(t) / unscaled(0)


def inner_times(schedule, n=9):
    low, high = schedule.log_snr(times(schedule.t_max, schedule.t_min)).clamp(-12, 12).tolist()
    inside = torch.linspace(high, low, n + 2, dtype=torch.float64)[1:-1]
    return schedule.time_of(inside)


def times(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def worst(value, expected):
    return ((value - expected).abs() / expected.abs().clamp(min=1e-12)).max().item()


def textbook_error(schedule, formula):
    t = times(0.05, 0.3, 0.77)
    alpha, sigma = times(*map(formula, t.tolist())).T
    return max(worst(schedule.alpha(t), alpha), worst(schedule.sigma(t), sigma))


def test_scales_are_the_textbook_ones():
    for schedule, formula in TEXTBOOK.items():
        assert textbook_error(schedule, formula) < 1e-13, schedule


def test_parameters_that_are_not_given_are_the_published_ones():
    """Song et al. (2021), Karras et al. (2022), and Lu et al. (2022) for the end of the cosine."""
    assert VPLinear() == VPLinear(0.1, 20.0, 0.0, 1.0)
    assert SubVP() == SubVP(0.1, 20.0, 0.0, 1.0)
    assert VPCosine() == VPCosine(0.008, 0.0, 0.9946)
    assert VEGeometric() == VEGeometric(0.01, 50.0, 0.0, 1.0)
    assert EDM() == EDM(0.002, 80.0)
    assert RectifiedFlow() == RectifiedFlow(0.0, 1.0)


def test_other_parameters_are_told_apart():
    assert textbook_error(VPLinear(0.1, 19.0), TEXTBOOK[VPLinear(0.1, 20.0)]) > 1e-3
    assert textbook_error(VPCosine(0.009), TEXTBOOK[VPCosine(0.008)]) > 1e-4


def test_sub_vp_is_told_apart_and_its_sde_is_the_textbook_one():
    assert textbook_error(VPLinear(), TEXTBOOK[SubVP(0.1, 20.0)]) > 1e-3
    t = times(0.05, 0.3, 0.77)
    beta = 0.1 + 19.9 * t
    textbook = beta * (1 - torch.exp(-2 * 0.1 * t - 19.9 * t**2))
    assert worst(SubVP().diffusion_sq(t), textbook) < 1e-12
    assert worst(VPLinear().diffusion_sq(t), textbook) > 1e-3


def test_times_come_back_from_their_log_snr():
    for schedule in SCHEDULES:
        t = inner_times(schedule, 33)
        assert worst(schedule.time_of(schedule.log_snr(t)), t) < 1e-9, schedule


def derivative_error(schedule, function, derivative):
    t = inner_times(schedule).requires_grad_()
    value = function(schedule)(t) + 0 * t
    (exact,) = torch.autograd.grad(value.sum(), t)
    return worst(derivative(schedule)(t.detach()), exact)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
def test_derivatives_are_those_of_automatic_differentiation(schedule):
    assert derivative_error(schedule, lambda s: s.alpha, lambda s: s.d_alpha) < 1e-10
    assert derivative_error(schedule, lambda s: s.sigma, lambda s: s.d_sigma) < 1e-10
    assert derivative_error(schedule, lambda s: s.log_snr, lambda s: s.d_log_snr) < 1e-10
    assert derivative_error(schedule, lambda s: s.sigma, lambda s: s.d_log_snr) > 1e-2


def diffusion_error(schedule, diffusion_sq):
    """Against g^2 = -sigma^2 d lambda/dt by automatic differentiation."""
    t = inner_times(schedule).requires_grad_()
    (slope,) = torch.autograd.grad(schedule.log_snr(t).sum(), t)
    t = t.detach()
    return worst(diffusion_sq(t), -(schedule.sigma(t) ** 2) * slope)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.name)
def test_diffusion_is_minus_sigma_squared_times_the_slope_of_log_snr(schedule):
    assert diffusion_error(schedule, schedule.diffusion_sq) < 1e-10
    assert diffusion_error(schedule, lambda t: -schedule.diffusion_sq(t)) > 1
    assert diffusion_error(schedule, lambda t: schedule.diffusion_sq(t).sqrt()) > 1e-2


def transition_error(schedule, power):
    *_, r, _, t = inner_times(schedule)
    a, v = schedule.transition(r, t)
    expected = schedule.sigma(t) ** 2 - (schedule.alpha(t) / schedule.alpha(r)) ** power * (
        schedule.sigma(r) ** 2
    )
    return max(worst(a * schedule.alpha(r), schedule.alpha(t)), worst(v, expected))


def test_transition_adds_the_variance_that_is_missing():
    for schedule in SCHEDULES:
        assert transition_error(schedule, power=2) < 1e-10, schedule
    for schedule in (VPLinear(), RectifiedFlow(), DISCRETE):
        assert transition_error(schedule, power=1) > 1e-3, schedule


def test_transition_keeps_its_digits_between_close_times():
    schedule, t = EDM(), times(1.0)
    step = 2.0**-40
    _, v = schedule.transition(t - step, t)
    exact = step * (2 - step)
    assert worst(v, times(exact)) < 1e-3
    assert worst(v * (1 + 2e-3), times(exact)) > 1e-3


@given(ANY_SCHEDULE)
def test_signal_fades_and_times_come_back(schedule):
    t = inner_times(schedule, 33)
    log_snr = schedule.log_snr(t)
    assert bool((t.diff() > 0).all())
    assert bool((log_snr.diff() < 0).all())
    assert bool((schedule.diffusion_sq(t) > 0).all())
    assert worst(schedule.time_of(log_snr), t) < 1e-9
    assert worst(schedule.time_of(log_snr + 1e-3), t) > 1e-9


@given(ANY_SCHEDULE)
def test_variance_is_preserved_by_the_schedules_that_say_so(schedule):
    t = inner_times(schedule)
    total = schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2
    preserved = worst(total, torch.ones_like(t)) < 1e-12
    assert preserved == isinstance(schedule, VariancePreserving | DiscreteSchedule)


def table_error(schedule, table):
    index = torch.arange(len(table))
    alpha, sigma = schedule.alpha(index), schedule.sigma(index)
    return max(
        (alpha - table.sqrt()).abs().max().item(), (sigma - (1 - table).sqrt()).abs().max().item()
    )


@given(st.lists(st.floats(1e-6, 1 - 1e-6), min_size=2, max_size=20, unique=True))
def test_a_discrete_schedule_is_its_table(numbers):
    table = times(*sorted(numbers, reverse=True))
    assert table_error(DiscreteSchedule(table), table) < 1e-14


def test_the_ddpm_table_and_a_table_of_alphas_instead():
    assert table_error(DISCRETE, TABLE) < 1e-14
    assert table_error(DiscreteSchedule(TABLE.sqrt()), TABLE) > 1e-3


@given(ANY_SCHEDULE)
def test_description_round_trip(schedule):
    again = from_description(schedule.describe())
    assert again == schedule
    assert type(again) is type(schedule)
    t = inner_times(schedule)
    assert torch.equal(again.log_snr(t), schedule.log_snr(t))


def test_descriptions_tell_schedules_apart():
    assert from_description(VPLinear(0.2).describe()) != VPLinear()
    assert from_description(EDM(0.01).describe()) != EDM()
    assert DiscreteSchedule(TABLE[:-1]) != DISCRETE


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"name": "sigmoid"}, "expected one of vp-linear, .*, got 'sigmoid'"),
        ({}, "expected one of vp-linear, .*, got None"),
        ({"name": "edm", "rho": 7}, "schedule edm: .*rho"),
        ({"name": "discrete"}, "schedule discrete: .*alphas_cumprod"),
        ({"name": "discrete", "alphas_cumprod": [0.5]}, "at least two"),
    ],
)
def test_bad_descriptions_are_refused(description, message):
    with pytest.raises(InputError, match=message):
        from_description(description)


def test_every_name_can_be_described():
    assert {s.name for s in SCHEDULES} == set(schedules.NAMED)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([0.5], r"at least two numbers, got shape \(1,\)"),
        ([[0.9, 0.5]], r"at least two numbers, got shape \(1, 2\)"),
        ([0.5, 0.9], "strictly decreasing"),
        ([0.9, 0.9], "strictly decreasing"),
        ([1.0, 0.5], "strictly between 0 and 1"),
        ([0.5, 0.0], "strictly between 0 and 1"),
        ([0.5, math.nan], "strictly between 0 and 1"),
    ],
)
def test_bad_tables_are_refused(table, message):
    with pytest.raises(InputError, match=message):
        DiscreteSchedule(torch.tensor(table, dtype=torch.float64))


@pytest.mark.parametrize(
    ("schedule", "values", "message"),
    [
        (VPLinear(), [], r"times: expected a list of them, got shape \(0,\)"),
        (VPLinear(), torch.tensor(0.5), r"times: expected a list of them, got shape \(\)"),
        (
            VPLinear(),
            torch.full((2, 2), 0.5),
            r"times: expected a list of them, got shape \(2, 2\)",
        ),
        (VPLinear(), [0.5, 1.5], r"0 <= t <= 1 \(vp-linear\), got 1.5"),
        (EDM(), [0.001], r"0.002 <= t <= 80 \(edm\), got 0.001"),
        (VPLinear(), [0.5, math.nan], "outside the schedule: .* got nan"),
        (VPLinear(), [0.5, 0.25, 0.5], "times: expected distinct ones"),
        (DISCRETE, [10, 10], "times: expected distinct ones"),
        (DISCRETE, [999, 1000], r"0 <= t <= 999 \(discrete\), got 1000"),
        (DISCRETE, [-1], "got -1"),
        (DISCRETE, [10.5], "integer indices"),
        (DISCRETE, [math.nan], "outside the schedule: .* got nan"),
        (DISCRETE, [1e30], r"got 1e\+30"),
        (VPLinear(), torch.tensor([True]), "real numbers"),
        (DISCRETE, [math.inf], "outside the schedule"),
    ],
)
def test_bad_times_are_refused(schedule, values, message):
    with pytest.raises(InputError, match=message):
        schedule.times(values)


def test_good_times_are_kept_in_their_order():
    assert torch.equal(VPLinear().times([0.5, 0.0, 1.0]), times(0.5, 0.0, 1.0))
    kept = DISCRETE.times([999.0, 0.0, 7.0])
    assert kept.dtype == torch.int64
    assert kept.tolist() == [999, 0, 7]


def is_inside_and_increasing(schedule, grid):
    inside = (grid >= schedule.t_min) & (grid <= schedule.t_max)
    return bool(inside.all()) and bool((grid.diff() > 0).all())


@given(ANY_SCHEDULE, st.integers(2, 40))
def test_grid_is_inside_and_increasing(schedule, n):
    grid = schedule.grid(n)
    assert is_inside_and_increasing(schedule, grid)
    assert torch.equal(schedule.times(grid), grid)
    assert not is_inside_and_increasing(schedule, grid.flip(0))
    assert not is_inside_and_increasing(schedule, grid + schedule.t_max)


def spacing_error(schedule, grid):
    gaps = schedule.log_snr(grid).diff()
    return worst(gaps, gaps.mean().expand_as(gaps))


def test_grid_is_even_in_log_snr():
    for schedule in SCHEDULES[:-1]:
        grid = schedule.grid(12)
        assert len(grid) == 12, schedule
        assert spacing_error(schedule, grid) < 1e-6, schedule
        even_in_time = torch.linspace(*grid[[0, -1]].tolist(), 12, dtype=torch.float64)
        assert (spacing_error(schedule, even_in_time) > 1e-2) == (schedule.name != "ve"), schedule


def test_grid_of_a_table_has_distinct_indices_from_end_to_end():
    grid = DISCRETE.grid(50)
    assert grid.dtype == torch.int64
    assert grid[[0, -1]].tolist() == [0, 999]
    assert 40 <= len(grid) <= 50
    assert DiscreteSchedule([0.9, 0.5, 0.1]).grid(50).tolist() == [0, 1, 2]


def test_the_repr_of_a_table_is_short_and_tells_tables_apart():
    first, last = torch.logit(TABLE[[0, -1]]).tolist()
    assert repr(DISCRETE) == f"DiscreteSchedule(1000 steps, log-SNR {first:.6g} to {last:.6g})"
    assert repr(DISCRETE) != repr(DiscreteSchedule(TABLE[:-1]))


def test_times_given_as_numbers_keep_all_their_digits():
    schedule = schedules.EDM(0.002, 0.1)
    assert schedule.times([0.1]).tolist() == [0.1]
    assert torch.tensor([0.1]).double().tolist() != [0.1]
    assert schedules.VPLinear().times([0, 1]).tolist() == [0.0, 1.0]


def test_times_in_float32_are_computed_in_float64():
    t = torch.tensor([0.25, 0.5])
    for schedule in SCHEDULES:
        for function in (schedule.alpha, schedule.sigma, schedule.d_alpha, schedule.d_sigma):
            assert function(t).dtype == torch.float64, function
            assert torch.equal(function(t), function(t.double())), function


def test_cosine_times_keep_their_digits_near_zero():
    log_snr = torch.linspace(-9.0, 25.0, 200, dtype=torch.float64)
    for offset in (0.001, 0.008, 0.05):
        schedule = VPCosine(offset)
        back = schedule.log_snr(schedule.time_of(log_snr))
        assert (back - log_snr).abs().max() < 1e-12, offset
        assert (back - log_snr - 1e-11).abs().max() > 1e-12, offset


class OwnFlow(RectifiedFlow):
    """A user's own schedule, which no file names."""


def test_a_schedule_that_no_file_can_hold_is_refused():
    for schedule in SCHEDULES:
        schedules.require_storable(schedule)
    with pytest.raises(InputError, match=r"a file can hold, VPLinear, .* got OwnFlow$"):
        schedules.require_storable(OwnFlow())
