"""What the strategies make is what they say: times in order and within bounds, laws of their numbers."""

import math

import pytest
import torch
from hypothesis import given, seed, settings

from tests.draws import drawn
from theory.diffusion.schedules import EDM, DiscreteSchedule, RectifiedFlow, VPLinear
from theory.diffusion.targets import NAMED
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.numerics.quadrature import expectation
from toy.strategies.common_covariance import common_covariance_cases
from toy.strategies.extremes import ExtremeCase, ShiftedExtreme, extreme_cases
from toy.strategies.gaussians import GAUSSIAN_TAIL_CASES, GaussianChainCase
from toy.strategies.guided import guided_cases
from toy.strategies.likelihood import (
    BITS_CASES,
    LIKELIHOOD_CASES,
    SPACE_CASES,
    WHOLE_RANGE_CASES,
)
from toy.strategies.mixtures import Components, PolynomialCase, atomic_cases, components, rotations
from toy.strategies.numbers import number
from toy.strategies.planted_errors import TARGETS, conversion_cases, regression_cases
from toy.strategies.ranges import range_cases, refused_cases
from toy.strategies.tilts import AMORTIZED_CASES, LINE_TAIL_CASES, PLANE_TAIL_CASES
from toy.strategies.time_pairs import (
    DISTANT_TIME_PAIRS,
    LOG_SNR_LEAST,
    LOG_SNR_MOST,
    MIN_GAP,
    SCHEDULES,
    TIME_PAIRS,
    TimePair,
    log_snr_range,
    near_time_pairs,
    time_pair,
    time_pairs_from_data,
)

ROUNDING = 1e-6
FEW = settings(max_examples=100, database=None, deadline=None)


def log_snrs(pair):
    """Of s and of t."""
    return pair.schedule.log_snr(float64([pair.s, pair.t])).tolist()


@pytest.mark.parametrize("schedule", [VPLinear(), EDM(), RectifiedFlow()], ids=lambda s: s.name)
def test_the_earlier_time_has_the_larger_log_snr(schedule):
    pair = time_pair(schedule, 2.0, -1.0)
    assert pair.s < pair.t
    assert log_snrs(pair) == pytest.approx([2.0, -1.0])


def test_a_range_is_the_schedules_own_within_the_bounds():
    edm = EDM(0.01, 50.0)
    own = (-2 * math.log(50.0), -2 * math.log(0.01))
    assert log_snr_range(edm, -100.0, 100.0) == pytest.approx(own)
    assert log_snr_range(edm, -3.0, 4.0) == (-3.0, 4.0)
    assert log_snr_range(edm, -100.0, 4.0) == pytest.approx((own[0], 4.0))


@pytest.mark.parametrize(
    ("pairs", "least", "most"),
    [
        (TIME_PAIRS, MIN_GAP, LOG_SNR_MOST - LOG_SNR_LEAST),
        (DISTANT_TIME_PAIRS, 10.0, 14.0),
        (near_time_pairs(0.1, 0.5), 0.1, 0.5),
    ],
    ids=["any", "distant", "near"],
)
def test_two_times_are_as_far_apart_as_asked_and_within_the_schedule(pairs, least, most):
    @seed(0)
    @FEW
    @given(pairs)
    def check(pair: TimePair) -> None:
        early, late = log_snrs(pair)
        assert pair.schedule.t_min <= pair.s < pair.t <= pair.schedule.t_max
        assert LOG_SNR_LEAST - ROUNDING <= late < early <= LOG_SNR_MOST + ROUNDING
        assert least - ROUNDING <= early - late <= most + ROUNDING

    check()


def extreme(near, angles=()):
    """Two components with powers of ten for deviations."""
    return ExtremeCase(
        (0.0, -2.0), ((0.0,), (-1.0,)), ((3.0,), (-5.0,)), angles,
        TimePair(VPLinear(), 0.2, 0.5), near, (2.0,),
    )  # fmt: skip


@pytest.mark.parametrize("near", [0, 1])
def test_an_extreme_mixture_has_the_powers_of_ten_and_its_origin_near_the_point(near):
    law = extreme(near).mixture()
    assert law.means[near].item() == 0.0
    assert law.means.diff(dim=0).item() == pytest.approx(-0.5 - 3.0)
    assert law.variances.flatten().tolist() == pytest.approx([1.0, 0.01])
    assert law.log_weights.diff().item() == pytest.approx(-2 * math.log(10))


def test_an_extreme_mixture_in_the_plane_has_the_same_variances():
    case = ExtremeCase(
        (0.0,), ((1.0, -2.0),), ((3.0, 1.0),), (0.3,), TimePair(VPLinear(), 0.2, 0.5), 0, (2.0, 0.0)
    )
    law = case.mixture()
    assert law.variances[0].tolist() == pytest.approx([100.0, 1e-4])
    assert torch.linalg.eigvalsh(law.covariances()[0]).tolist() == pytest.approx([1e-4, 100.0])


def test_an_extreme_shift_is_of_so_many_deviations_after_scaling():
    """Shifted by h, the data's image under alpha_s moves by two deviations of q_s."""
    case = extreme(1)
    (h,) = ShiftedExtreme(case, 2.0).h
    law = case.diffusion.marginal(case.times.s)
    alpha_s, _ = case.diffusion.scales(case.times.s)
    assert alpha_s * h == pytest.approx(2 * law.variances[1, 0].sqrt().item())


def test_the_models_error_in_closed_form_is_that_by_quadrature():
    """Of data of the first component alone."""

    @seed(0)
    @settings(FEW, max_examples=20)
    @given(LIKELIHOOD_CASES)
    def check(case):
        alone = case.diffusion.data
        law = type(alone).diagonal(torch.ones(1), alone.means[:1], alone.variances[:1])
        diffusion = type(case.diffusion)(law, case.times.schedule)
        times = float64([case.times.s, case.times.t])
        closed = case.squared_noise_error(times)
        for t, value in zip(times.tolist(), closed.tolist(), strict=True):
            _, sigma = diffusion.scales(t)

            def error(x, t=t, sigma=sigma):
                return (sigma * (case.model.score(x, t) - diffusion.score(x, t))) ** 2

            found = expectation(diffusion.marginal(t), error, size=1.0).value.item()
            assert value == pytest.approx(found, rel=1e-9, abs=1e-9)

    check()


def test_a_chain_is_of_the_diffused_gaussian():
    case = GaussianChainCase(0.5, 2.0, TimePair(VPLinear(), 0.2, 0.5), 1.0)
    data = GaussianMixture.diagonal(torch.ones(1), float64([[0.5]]), float64([4.0]))
    law, x = Diffusion(data, VPLinear()).marginal(0.5), float64([[0.3], [-1.2]])
    assert case.scales(float64(0.5))[1].item() == pytest.approx(law.variances.item())
    assert torch.allclose(case.score(x, float64(0.5)), law.score(x))


def numbers(nested):
    """All numbers in nested tuples."""
    return [x for part in nested for x in numbers(part)] if isinstance(nested, tuple) else [nested]


RANGES = {
    "a number": (number(-2.0, 5.0), lambda x: x, (-2.0, 5.0)),
    "weights at the extremes": (extreme_cases(2), lambda c: c.log10_weights, (-12.0, 0.0)),
    "deviations at the extremes": (extreme_cases(2), lambda c: c.log10_deviations, (-5.0, 3.0)),
    "means at the extremes": (extreme_cases(2), lambda c: c.places, (-1e3, 1e3)),
    "turns at the extremes": (extreme_cases(2), lambda c: c.angles, (0.0, math.pi)),
    "components at the extremes": (extreme_cases(1), lambda c: len(c.places), (1, 3)),
    "weights of points": (atomic_cases(1, 9.0), lambda c: tuple(map(math.log10, c.weights)), (-12.0, 0.0)),
    "turns": (components(2), lambda c: c.angles, (0.0, math.pi)),
    "deviations": (components(2), lambda c: c.deviations, (0.05, 3.0)),
    "means": (components(1), lambda c: c.means, (-10.0, 10.0)),
    "components": (components(1), lambda c: len(c.weights), (1, 4)),
    "components alike": (common_covariance_cases(), lambda c: len(c.weights), (1, 4)),
    "log-SNR": (TIME_PAIRS, lambda c: tuple(log_snrs(c)), (-14.0, 23.1)),
    "tails": (GAUSSIAN_TAIL_CASES, lambda c: c.deviations, (0.5, 6.0)),
    "variances": (GAUSSIAN_TAIL_CASES, lambda c: math.log10(c.variance), (-4.0, 4.0)),
    "guidance": (guided_cases(), lambda c: c.scale, (0.0, 4.0)),
    "waves of branches": (guided_cases(), lambda c: c.amplitude, (-1.0, 1.0)),
    "labels": (guided_cases(), lambda c: c.label, (0, 3)),
    "pixels of bits": (BITS_CASES, lambda c: c.dimensions, (1, 3072)),
    "dimensions of likelihoods": (SPACE_CASES, lambda c: len(c.mean), (2, 4)),
    "means of priors": (WHOLE_RANGE_CASES, lambda c: c.offset, (-1.0, 1.0)),
    "deviations of priors": (WHOLE_RANGE_CASES, lambda c: c.ratio, (0.8, 1.25)),
    "shifts of tails in the plane": (PLANE_TAIL_CASES, lambda c: c.strength, (0.0, 3.0)),
    "waves outside the basis": (AMORTIZED_CASES, lambda c: c.wave, (0.0, 2.0)),
    "dimensions of ranges": (range_cases(), lambda c: c.dimension, (1, 8)),
    "widths to refuse": (refused_cases(), lambda c: c.widths, (0.01, 9.0)),
    "scales to regress on": (regression_cases(("x", "y")), lambda c: c.scale, (-0.6, 1.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", RANGES)
def test_what_is_drawn_reaches_both_ends_of_what_is_said(name):
    strategy, of, (low, high) = RANGES[name]
    found = [x for case in drawn(strategy, 200) for x in numbers(of(case))]
    near = (high - low) / 5
    assert low - ROUNDING <= min(found) <= low + near, name
    assert high - near <= max(found) <= high + ROUNDING, name


KINDS = {
    "schedules": (
        SCHEDULES, lambda s: s.name,
        {"vp-linear", "vp-cosine", "ve", "edm", "rectified-flow", "discrete"},
    ),
    "schedules that start without noise": (
        time_pairs_from_data(), lambda c: c.schedule.name,
        {"vp-linear", "sub-vp", "vp-cosine", "rectified-flow"},
    ),
    "tails on the line": (LINE_TAIL_CASES, lambda c: c.kind, {"gauss", "laplace", "student"}),
    "tails in the plane": (PLANE_TAIL_CASES, lambda c: c.kind, {"gauss", "round", "square", "student"}),
    "infinite and finite normalizers": (PLANE_TAIL_CASES, lambda c: c.strength > 1, {False, True}),
    "steps of tables": (
        SCHEDULES, lambda s: isinstance(s, DiscreteSchedule) and len(s.alphas_cumprod) > 10, {False, True},
    ),
    "targets": (TARGETS, lambda target: target, set(NAMED.values())),
    "conversions to another target": (conversion_cases(), lambda c: c.source == c.to, {False, True}),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_drawn(name):
    strategy, of, expected = KINDS[name]
    assert {of(case) for case in drawn(strategy, 100)} == expected


def test_a_polynomial_has_its_slope():
    case = PolynomialCase(
        Components((), (), (), ()), TimePair(VPLinear(), 0.2, 0.5), (3.0, -1.0, 2.0, 1.0)
    )
    value, slope = case.polynomial(float64([2.0, -1.0]))
    assert value.tolist() == [3 - 2 + 8 + 8, 3 + 1 + 2 - 1]
    assert slope.tolist() == [-1 + 8 + 12, -1 - 4 + 3]


def test_a_rotation_turns_the_first_axis_towards_the_second():
    (turn,) = rotations((math.pi / 6,), 3)
    x, y, z = (turn @ axis for axis in torch.eye(3, dtype=torch.float64))
    assert x.tolist() == pytest.approx([math.cos(math.pi / 6), 0.5, 0.0])
    assert y.tolist() == pytest.approx([-0.5, math.cos(math.pi / 6), 0.0])
    assert z.tolist() == [0.0, 0.0, 1.0]
