"""Targets against their textbook formulas, conversions both ways, and how shifts scale."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from theory.diffusion import targets
from theory.diffusion.schedules import EDM, DiscreteSchedule, RectifiedFlow, VPCosine, VPLinear
from theory.diffusion.targets import (
    DATA,
    FLOW,
    NAMED,
    NOISE,
    SCORE,
    VELOCITY,
    Target,
    convert,
    data_and_noise,
    named,
    shift_factor,
)
from theory.support.errors import InputError

SCHEDULES = (
    VPLinear(),
    VPCosine(),
    EDM(),
    RectifiedFlow(),
    DiscreteSchedule([0.99, 0.7, 0.4, 0.05]),
)
PAIRS = list(itertools.product(NAMED.values(), repeat=2))
TIMES = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)
X_0 = torch.tensor([[1.5, -0.5], [0.25, 2.0], [-1.0, 3.0]], dtype=torch.float64)
E = torch.tensor([[0.5, 1.0], [-2.0, 0.75], [1.25, -0.5]], dtype=torch.float64)

WRONG_SIGN = Target("velocity", lambda schedule, t: (schedule.sigma(t), schedule.alpha(t)))
WRONG_FACTOR = Target("score", lambda schedule, t: (0 * t, -1 / schedule.sigma(t) ** 2))


def noised(schedule, t, x_0=X_0, e=E):
    return schedule.alpha(t)[:, None] * x_0 + schedule.sigma(t)[:, None] * e


def conditional_score(schedule, t):
    """grad log N(x_t; alpha x_0, sigma^2 I), by automatic differentiation."""
    mean, scale = schedule.alpha(t)[:, None] * X_0, schedule.sigma(t)[:, None]
    x_t = noised(schedule, t).requires_grad_()
    log_density = torch.distributions.Normal(mean, scale).log_prob(x_t).sum()
    return torch.autograd.grad(log_density, x_t)[0]


def path_velocity(schedule, t):
    """d x_t / dt with x_0 and e held, by automatic differentiation."""
    return torch.autograd.functional.jvp(
        lambda t: noised(schedule, t), t, torch.ones_like(t), strict=False
    )[1]


def velocity(schedule, t):
    return schedule.alpha(t)[:, None] * E - schedule.sigma(t)[:, None] * X_0


def preconditioned(schedule, t):
    """Karras et al.'s F = (D - c_skip x) / c_out for x = x_t/alpha_t of noise r and D = x_0."""
    r, data = (schedule.sigma(t) / schedule.alpha(t))[:, None], 0.5
    c_skip, c_out = data**2 / (r**2 + data**2), r * data / torch.sqrt(r**2 + data**2)
    return (X_0 - c_skip * (X_0 + r * E)) / c_out


TEXTBOOK = {
    "noise": lambda schedule, t: E,
    "data": lambda schedule, t: X_0,
    "score": conditional_score,
    "velocity": velocity,
    "flow": path_velocity,
    "edm-raw": preconditioned,
}


def textbook_error(target, schedule):
    value = target.value(schedule, TIMES, X_0, E)
    return (value - TEXTBOOK[target.name](schedule, TIMES)).abs().max().item()


def test_values_are_the_textbook_ones():
    for schedule in (VPLinear(), EDM(), RectifiedFlow()):
        for target in NAMED.values():
            assert textbook_error(target, schedule) < 1e-12, (target, schedule)


def test_mistaken_targets_are_told_apart():
    for mistaken in (WRONG_SIGN, WRONG_FACTOR):
        assert textbook_error(mistaken, VPLinear()) > 0.1, mistaken


def test_rectified_flow_predicts_noise_less_data():
    assert torch.equal(FLOW.value(RectifiedFlow(), TIMES, X_0, E), E - X_0)
    assert not torch.equal(FLOW.value(VPLinear(), TIMES, X_0, E), E - X_0)


def test_each_image_gets_its_own_time():
    x_0, e = (x.reshape(3, 2, 1, 1) for x in (X_0, E))
    together = VELOCITY.value(VPLinear(), TIMES, x_0, e)
    apart = [VELOCITY.value(VPLinear(), TIMES[i], x_0[i], e[i]) for i in range(3)]
    assert torch.equal(together, torch.stack(apart))
    assert not torch.equal(VELOCITY.value(VPLinear(), TIMES.flip(0), x_0, e), together)


def time_between(schedule, share):
    low, high = schedule.log_snr(torch.tensor([schedule.t_max, schedule.t_min]).double())
    low, high = low.clamp(min=-5), high.clamp(max=5)
    return schedule.time_of(low + share * (high - low))


def number():
    return st.floats(-3, 3)


def round_trip_error(schedule, t, x_0, e, source, to, prediction):
    x_t = schedule.alpha(t) * x_0 + schedule.sigma(t) * e
    y = prediction.value(schedule, t, x_0, e)
    converted = convert(y, x_t, t, source, to, schedule)
    back = convert(converted, x_t, t, to, source, schedule)
    expected = to.value(schedule, t, x_0, e)
    size = 1 + torch.stack([y.abs(), expected.abs(), x_t.abs()]).max()
    return max((converted - expected).abs().item(), (back - y).abs().item()) / size.item()


@given(
    st.sampled_from(SCHEDULES), st.floats(0.05, 0.95), number(), number(), st.sampled_from(PAIRS)
)
def test_conversion_gives_the_other_value_and_comes_back(schedule, share, x_0, e, pair):
    t = time_between(schedule, share)
    x_0, e = torch.tensor([x_0, e], dtype=torch.float64)
    assert round_trip_error(schedule, t, x_0, e, *pair, prediction=pair[0]) < 1e-10


def test_a_mistaken_prediction_does_not_convert():
    x_0, e, t = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    assert round_trip_error(VPLinear(), t, x_0, e, VELOCITY, DATA, VELOCITY) < 1e-12
    assert round_trip_error(VPLinear(), t, x_0, e, VELOCITY, DATA, WRONG_SIGN) > 0.1


def test_data_and_noise_are_solved_for():
    schedule = VPLinear()
    x_t = noised(schedule, TIMES)

    def error(source, x_t):
        y = source.value(schedule, TIMES, X_0, E)
        x_0, e = data_and_noise(y, x_t, TIMES, source, schedule)
        return torch.maximum((x_0 - X_0).abs(), (e - E).abs()).max()

    for source in NAMED.values():
        assert error(source, x_t) < 1e-11, source
        assert error(source, x_t + 0.1) > 0.01, source


def commutation_error(source, to, factor):
    """Shifting then converting, against converting then shifting by the scaled shift."""
    schedule, eta = VPLinear(), torch.full_like(X_0, 0.7)
    y, x_t = source.value(schedule, TIMES, X_0, E), noised(schedule, TIMES)
    before = convert(y - eta, x_t, TIMES, source, to, schedule)
    scaled = factor(TIMES, source, to, schedule)[:, None] * eta
    return (before - convert(y, x_t, TIMES, source, to, schedule) + scaled).abs().max().item()


def unscaled(t, source, to, schedule):
    return torch.ones_like(t)


def test_only_the_shift_factor_makes_calibration_commute_with_conversion():
    for source, to in PAIRS:
        assert commutation_error(source, to, shift_factor) < 1e-10, (source, to)
        if source != to:
            assert commutation_error(source, to, unscaled) > 0.01, (source, to)


def test_shift_factors_known_by_hand():
    t = torch.tensor(0.25, dtype=torch.float64)
    schedule = RectifiedFlow()
    assert shift_factor(t, NOISE, DATA, schedule).item() == pytest.approx(-1 / 3, rel=1e-14)
    assert shift_factor(t, NOISE, SCORE, schedule).item() == pytest.approx(-4, rel=1e-14)
    assert shift_factor(t, FLOW, NOISE, schedule).item() == pytest.approx(0.75, rel=1e-14)


def test_targets_are_found_by_name():
    assert {name: named(name) for name in NAMED} == NAMED
    assert set(NAMED) == set(TEXTBOOK)
    with pytest.raises(InputError, match=r"target: expected one of noise, .*, got 'eps'"):
        targets.named("eps")


def test_repr_names_the_target():
    assert [repr(NOISE), repr(FLOW)] == ["Target('noise')", "Target('flow')"]
