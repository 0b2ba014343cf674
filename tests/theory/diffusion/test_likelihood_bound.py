"""The likelihood bound: its quadrature, its discrete steps, its units."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from theory.diffusion.likelihood_bound import (
    bits_per_dim,
    bound_weights,
    discrete_bound,
    gain_weights,
    solver_weights,
    step_weight,
)
from theory.diffusion.schedules import EDM, DiscreteSchedule, RectifiedFlow, VPLinear
from theory.diffusion.targets import DATA, NOISE
from theory.statistics.intervals import Estimate
from theory.support.errors import InputError

TABLE = DiscreteSchedule([0.999, 0.98, 0.9, 0.7, 0.6, 0.3, 0.1, 0.01, 0.001])
SCHEDULES = (VPLinear(), EDM(), RectifiedFlow(), TABLE)
POINTS = 9


def times_of(schedule):
    return torch.arange(POINTS) if schedule is TABLE else schedule.grid(POINTS)


def linear_rule_error(weights_of, schedule, order, constant, slope):
    """The trapezoid rule of h = constant + slope lambda, against 0.5 int h |d lambda|."""
    times = times_of(schedule)[order]
    log_snr = schedule.log_snr(times)
    low, high = log_snr.min(), log_snr.max()
    exact = (high - low) / 2 * (constant + slope * (low + high) / 2)
    value = weights_of(schedule, times) @ (constant + slope * log_snr)
    return ((value - exact).abs() / ((high - low) * (1 + abs(slope) * 10))).item()


@given(
    st.sampled_from(SCHEDULES),
    st.permutations(range(POINTS)),
    st.floats(-1, 1),
    st.floats(-1, 1),
)
def test_linear_functions_are_integrated_exactly_in_any_order(schedule, order, constant, slope):
    assert linear_rule_error(bound_weights, schedule, order, constant, slope) < 1e-13


def doubled(schedule, times):
    return 2 * bound_weights(schedule, times)


def sorted_weights(schedule, times):
    return bound_weights(schedule, times.sort().values)


def even_weights(schedule, times):
    total = bound_weights(schedule, times).sum()
    return (total / len(times)).expand(len(times))


@pytest.mark.parametrize("mistaken", [doubled, sorted_weights, even_weights])
def test_mistaken_weights_are_told_apart(mistaken):
    order = [3, 1, 8, 0, 2, 7, 5, 4, 6]
    assert linear_rule_error(bound_weights, TABLE, order, 1.0, 1.0) < 1e-13
    assert linear_rule_error(mistaken, TABLE, order, 1.0, 1.0) > 1e-3


def test_a_single_time_weighs_nothing():
    one, two = torch.tensor([0.5]).double(), torch.tensor([0.5, 0.25]).double()
    assert bound_weights(VPLinear(), one).tolist() == [0.0]
    assert bool((bound_weights(VPLinear(), two) > 0).all())


def weight_of_step(s, t):
    return step_weight(VPLinear(), s, t)


def sum_error(n, weight):
    """Error of the discrete bound's sum for h = exp(-lambda^2/8), over n steps."""
    times = VPLinear().grid(n + 1)
    log_snr = VPLinear().log_snr(times)
    total = weight(times[:-1], times[1:]) @ torch.exp(-(log_snr[1:] ** 2) / 8)
    low, high = (x / math.sqrt(8) for x in log_snr[[-1, 0]].tolist())
    exact = math.sqrt(2 * math.pi) / 2 * (math.erf(high) - math.erf(low))
    return abs(total.item() - exact)


def convergence_order(weight):
    return math.log2(sum_error(1000, weight) / sum_error(2000, weight))


def test_steps_sum_to_the_integral_at_first_order():
    assert convergence_order(weight_of_step) == pytest.approx(1, abs=0.05)
    assert sum_error(2000, weight_of_step) < 0.02


def test_mistaken_steps_do_not_converge_or_not_at_that_order():
    assert convergence_order(lambda s, t: 2 * weight_of_step(s, t)) < 0.5
    assert convergence_order(lambda s, t: weight_of_step(s, t) + 0.5) < 0.5
    assert convergence_order(lambda s, t: weight_of_step(t, s)) < 0.5


def test_the_discrete_bound_is_the_sum_of_its_steps():
    times = times_of(TABLE)
    errors = torch.linspace(1, 2, POINTS, dtype=torch.float64)
    steps = zip(times[:-1], times[1:], errors[1:], strict=True)
    by_hand = math.fsum((step_weight(TABLE, s, t) * h).item() for s, t, h in steps)
    assert discrete_bound(TABLE, times, errors).item() == pytest.approx(by_hand, rel=1e-13)
    assert discrete_bound(TABLE, times, errors.flip(0)).item() != pytest.approx(by_hand, rel=1e-2)


def step_divergence(schedule, s, t, delta):
    """KL of two reverse steps of the same variance whose noise predictions differ by delta."""
    a, v = schedule.transition(s, t)
    variance = v * schedule.sigma(s) ** 2 / schedule.sigma(t) ** 2
    mean_gap = v / (a * schedule.sigma(t)) * delta
    one = torch.distributions.Normal(0 * mean_gap, variance.sqrt())
    other = torch.distributions.Normal(mean_gap, variance.sqrt())
    return torch.distributions.kl_divergence(one, other)


@given(st.sampled_from(SCHEDULES), st.integers(0, POINTS - 2), st.floats(0.1, 3))
def test_a_step_weighs_the_divergence_of_two_reverse_steps(schedule, index, delta):
    s, t = times_of(schedule)[[index, index + 1]]
    exact = step_divergence(schedule, s, t, delta)
    weight = step_weight(schedule, s, t) * delta**2
    assert weight.item() == pytest.approx(exact.item(), rel=1e-9)
    assert (weight + delta**2 / 2).item() != pytest.approx(exact.item(), rel=1e-9)
    assert (2 * weight).item() != pytest.approx(exact.item(), rel=1e-9)


def test_bits_per_dimension():
    nats = Estimate(6 * math.log(2), 3 * math.log(2), math.inf)
    bits = bits_per_dim(nats, 3)
    assert (bits.value, bits.lower, bits.upper) == pytest.approx((2.0, 1.0, math.inf), rel=1e-14)
    bits = bits_per_dim(Estimate(0.0, -math.log(2), 6 * math.log(2)), 2)
    assert (bits.value, bits.lower, bits.upper) == pytest.approx((0.0, -0.5, 3.0), rel=1e-14)


def test_times_of_infinite_log_snr_weigh_nothing():
    times = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64)
    for target in (NOISE, DATA):
        weights = gain_weights(RectifiedFlow(), target, times)
        assert weights.isfinite().all()
        assert weights[[0, 3]].tolist() == [0.0, 0.0]
        assert (weights[1:3] > 0).all()
        assert torch.equal(weights[1:3], gain_weights(RectifiedFlow(), target, times[1:3]))
    assert not bound_weights(RectifiedFlow(), times).isfinite().all()


def test_solver_weights_are_the_steps_of_the_discrete_bound():
    schedule = VPLinear()
    times = schedule.grid(12)
    errors = torch.linspace(1, 2, 12, dtype=torch.float64)
    weights = solver_weights(schedule, NOISE, times)
    expected = discrete_bound(schedule, times, errors)
    assert (weights[1:] @ errors[1:]).item() == pytest.approx(expected.item(), rel=1e-12)
    order = torch.tensor([5, 2, 9, 0, 11, 1, 3, 4, 10, 6, 8, 7])
    assert torch.allclose(solver_weights(schedule, NOISE, times[order]), weights[order])


def test_solver_weights_count_a_gain_in_any_target_as_noise():
    schedule = VPLinear()
    times = schedule.grid(6)[1:]
    factor = schedule.alpha(times) ** -1
    of_data = solver_weights(schedule, DATA, times)
    of_noise = solver_weights(schedule, NOISE, times)
    assert torch.allclose(of_data * schedule.sigma(times) ** 2 * factor**2, of_noise)


def test_a_solver_of_one_step_is_refused():
    with pytest.raises(InputError, match="at least two, got 1"):
        solver_weights(VPLinear(), NOISE, torch.tensor([0.5], dtype=torch.float64))


def test_the_step_from_the_cleanest_time_is_as_long_as_the_one_before():
    schedule = VPLinear()
    times = schedule.grid(4)
    log_snr = schedule.log_snr(times)
    cleanest = int(log_snr.argmax())
    last_gap = log_snr.sort().values.diff()[-1]
    found = solver_weights(schedule, NOISE, times)[cleanest]
    assert torch.allclose(found, torch.expm1(last_gap) / 2, rtol=1e-12)
