"""What the strategies make is what they say: times in order and within bounds, laws of their numbers."""

import math

import pytest
import torch
from hypothesis import given, seed, settings

from tests.draws import drawn
from theory.diffusion.schedules import (
    EDM,
    DiscreteSchedule,
    RectifiedFlow,
    VEGeometric,
    VPCosine,
    VPLinear,
)
from theory.diffusion.targets import NAMED
from theory.sampling.cells import kinds_for
from theory.sampling.trajectory_fit import RIDGES
from toy.claims.betting import THREE_POINTS, TWO_POINTS
from toy.claims.fitted_solvers import FLOWS, MATCHINGS, REGRESSIONS
from toy.judge.local_constants import without_local_constants
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.numerics.quadrature import expectation
from toy.strategies.common_covariance import LOG_ODDS, CommonCovarianceCase, common_covariance_cases
from toy.strategies.extremes import (
    EXTREME_MODELS,
    SHIFTED_EXTREMES,
    ExtremeCase,
    ShiftedExtreme,
    extreme_cases,
)
from toy.strategies.gaussians import (
    GAUSSIAN_CHAIN_CASES,
    GAUSSIAN_TAIL_CASES,
    MODERATE_CHAIN_CASES,
    GaussianChainCase,
)
from toy.strategies.guided import guided_cases
from toy.strategies.likelihood import (
    BITS_CASES,
    CALIBRATION_GAIN_CASES,
    LIKELIHOOD_CASES,
    SPACE_CASES,
    TWO_MIXTURES_CASES,
    WHOLE_RANGE_CASES,
)
from toy.strategies.mixtures import (
    LINE,
    POLYNOMIAL_CASES,
    Components,
    PolynomialCase,
    atomic_cases,
    components,
    rotations,
    shifted_cases,
)
from toy.strategies.numbers import number
from toy.strategies.planted_errors import (
    PLANE_ERROR_CASES,
    PLANTED_ERROR_CASES,
    PRECONDITION_CASES,
    TARGETS,
    conversion_cases,
    regression_cases,
)
from toy.strategies.ranges import range_cases, refused_cases
from toy.strategies.tilts import (
    AMORTIZED_CASES,
    LINE_TAIL_CASES,
    PLANE_SCORE_CASES,
    PLANE_TAIL_CASES,
    tilt_cases,
)
from toy.strategies.time_pairs import (
    DISTANT_TIME_PAIRS,
    LOG_SNR_LEAST,
    LOG_SNR_MOST,
    MIN_GAP,
    SCHEDULES,
    TIME_PAIRS,
    TimePair,
    log_snr_range,
    moderate_time_pairs,
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


def test_times_from_the_data_start_without_noise():
    for pair in cases_of(time_pairs_from_data(), 50):
        assert pair.s == pair.schedule.t_min < pair.t <= pair.schedule.t_max
        assert pair.schedule.sigma(float64(pair.s)) < 1e-9


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


def test_an_extreme_mixture_in_the_plane_has_the_same_variances_along_axes_that_are_turned():
    case = ExtremeCase(
        (0.0,), ((1.0, -2.0),), ((3.0, 1.0),), (0.3,), TimePair(VPLinear(), 0.2, 0.5), 0, (2.0, 0.0)
    )
    law = case.mixture()
    assert law.variances[0].tolist() == pytest.approx([100.0, 1e-4])
    assert torch.linalg.eigvalsh(law.covariances()[0]).tolist() == pytest.approx([1e-4, 100.0])
    along = float64([math.cos(0.3), math.sin(0.3)])
    assert torch.allclose(law.covariances()[0] @ along, 100 * along)


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


def cases_of(strategy, count):
    """The same ones whatever is imported."""
    with without_local_constants():
        return drawn(strategy, count)


def numbers(nested):
    """All numbers in nested tuples."""
    return [x for part in nested for x in numbers(part)] if isinstance(nested, tuple) else [nested]


def gap(pair):
    """Of the log-SNR."""
    early, late = log_snrs(pair)
    return early - late


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
    "gaps of near times": (near_time_pairs(0.1, 0.5), gap, (0.1, 0.5)),
    "gaps of distant times": (DISTANT_TIME_PAIRS, gap, (10.0, 14.0)),
    "gaps of moderate times": (moderate_time_pairs(-3.0, 1.0, 0.5, 1.0), gap, (0.5, 1.0)),
    "log-SNR of moderate times": (
        moderate_time_pairs(-3.0, 1.0, 0.5, 1.0), lambda c: tuple(log_snrs(c)), (-3.0, 1.0),
    ),
    "log-SNR of the plane": (
        PLANE_ERROR_CASES, lambda c: tuple(log_snrs(c.times)), (-2.0, 4.0),
    ),
    "log-SNR of near times": (
        near_time_pairs(0.1, 0.5), lambda c: tuple(log_snrs(c)), (-12.0, 12.0),
    ),
    "log-SNR of polynomials": (
        POLYNOMIAL_CASES, lambda c: tuple(log_snrs(c.times)), (-14.0, 12.0),
    ),
    "log-SNR of ranges": (range_cases(), lambda c: log_snrs(c.times)[0], (-4.0, 4.0)),
    "axes in space": (SPACE_CASES, lambda c: tuple(axis[0] for axis in c.axes), (0.5, 2.0)),
    "means of Gaussians of bits": (BITS_CASES, lambda c: (c.data[0], c.model[0]), (-1.0, 1.0)),
    "deviations of Gaussians of bits": (BITS_CASES, lambda c: (c.data[1], c.model[1]), (0.6, 1.8)),
    "degrees of polynomials": (POLYNOMIAL_CASES, lambda c: len(c.coefficients), (1, 5)),
    "degrees over time": (AMORTIZED_CASES, lambda c: len(c.coefficients), (1, 5)),
    "dimensions of one covariance": (common_covariance_cases(), lambda c: len(c.offset), (1, 3)),
    "scales to regress on": (regression_cases(("x", "y")), lambda c: c.scale, (-0.6, 1.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", RANGES)
def test_what_is_drawn_reaches_both_ends_of_what_is_said(name):
    strategy, of, (low, high) = RANGES[name]
    found = [x for case in cases_of(strategy, 200) for x in numbers(of(case))]
    near = (high - low) / 5
    assert low - ROUNDING <= min(found) <= low + near, name
    assert high - near <= max(found) <= high + ROUNDING, name


MODEL_ENDS = {"slope": (0.8, 1.25), "centre": (-1.0, 1.0), "bias": (-1.0, 1.0)}
PLANTED_ENDS = {
    "constant": (-2.0, 2.0), "slope": (-1.0, 1.0), "amplitude": (-1.0, 1.0), "frequency": (0.1, 2.0),
    "shift": (-2.0, 2.0),
}  # fmt: skip
ENDS = {
    "steps of Gaussians": (
        GAUSSIAN_CHAIN_CASES, {"mean": (-3.0, 3.0), "deviation": (0.1, 3.0), "offset": (-3.0, 3.0)},
    ),
    "long steps of Gaussians": (
        MODERATE_CHAIN_CASES, {"mean": (-2.0, 2.0), "deviation": (0.3, 1.2), "offset": (-3.0, 3.0)},
    ),
    "mixtures of one covariance": (
        common_covariance_cases(),
        {"weights": (0.01, 1.0), "means": (-8.0, 8.0), "deviation": (0.05, 3.0), "offset": (-5.0, 5.0)},
    ),
    "extreme mixtures": (extreme_cases(2), {"near": (0, 2), "offset": (-5.0, 5.0)}),
    "extreme models": (
        EXTREME_MODELS,
        {
            "constant": (-2.0, 2.0), "slope": (-1.0, 1.0), "amplitude": (-1.0, 1.0), "waves": (0.1, 4.0),
            "shift_in_units": (-2.0, 2.0),
        },
    ),
    "shifted extremes": (SHIFTED_EXTREMES, {"deviations": (-2.0, 2.0)}),
    "guided models": (guided_cases(), {"constants": (-2.0, 2.0), "offset": (-3.0, 3.0)}),
    "affine models": (
        LIKELIHOOD_CASES,
        {
            "slope": (0.6, 1.5), "centre": (-2.0, 2.0), "bias": (-1.0, 1.0), "offset": (-1.0, 1.0),
            "ratio": (0.5, 2.0),
        },
    ),
    "models of the whole way": (WHOLE_RANGE_CASES, {"deviation": (0.5, 2.0), **MODEL_ENDS}),
    "Gaussians in space": (
        SPACE_CASES,
        {
            "mean": (-2.0, 2.0), "root": (-1.0, 1.0), "other_mean": (-2.0, 2.0), "other_root": (-1.0, 1.0),
        },
    ),
    "two mixtures": (TWO_MIXTURES_CASES, {"offset": (-3.0, 3.0)}),
    "mixtures": (components(3), {"weights": (1e-3, 1.0), "means": (-10.0, 10.0)}),
    "mixtures seen from a point": (LINE, {"offset": (-5.0, 5.0)}),
    "point masses": (
        atomic_cases(2, 9.0), {"points": (-9.0, 9.0), "offset": (-5.0, 5.0)},
    ),
    "shifted mixtures": (shifted_cases(2, 4.0, 0.3), {"h": (-3.0, 3.0)}),
    "polynomials": (POLYNOMIAL_CASES, {"coefficients": (-2.0, 2.0)}),
    "planted errors": (PLANTED_ERROR_CASES, PLANTED_ENDS),
    "planted errors in the plane": (PLANE_ERROR_CASES, PLANTED_ENDS),
    "conversions": (conversion_cases(), {"x_0": (-3.0, 3.0), "e": (-3.0, 3.0), "eta": (-3.0, 3.0)}),
    "preconditioning": (
        PRECONDITION_CASES, {"sigma_data": (0.1, 5.0), "x": (-5.0, 5.0), "output": (-3.0, 3.0)},
    ),
    "bounded martingales": (
        range_cases(), {"weights": (0.01, 1.0), "deviations": (0.1, 2.3), "atoms": (-1.0, 1.0)},
    ),
    "what is refused": (refused_cases(), {"eps": (0.1, 2.0)}),
    "scores in the plane": (
        PLANE_SCORE_CASES,
        {
            "constant": (-2.0, 2.0), "amplitude": (-1.0, 1.0), "shift": (-2.0, 2.0), "offset": (-3.0, 3.0),
        },
    ),
    "tilts": (tilt_cases(2, 1.5), {"shift": (-1.5, 1.5), "offset": (-3.0, 3.0)}),
    "tails on the line": (LINE_TAIL_CASES, {"parameter": (0.5, 5.0), "eta": (-10.0, 10.0)}),
    "tails in the plane": (
        PLANE_TAIL_CASES,
        {"parameter": (0.5, 5.0), "turn": (0.0, math.pi), "angle": (0.0, 2 * math.pi)},
    ),
    "shifts over time": (AMORTIZED_CASES, {"coefficients": (-2.0, 2.0)}),
    "bets on two values": (
        TWO_POINTS,
        {"low": (0.0, 1.0), "high": (0.0, 1.0), "probability": (0.02, 0.98), "steps": (1, 10)},
    ),
    "bets on three values": (
        THREE_POINTS,
        {"u": (-1.0, 1.0), "w": (-1.0, 1.0), "chances": (0.1, 1.0), "steps": (1, 5)},
    ),
    "flows": (
        FLOWS,
        {"mean": (-2.0, 2.0), "variance": (0.3, 2.0), "log_snr": (-3.0, 0.0), "span": (1.0, 2.0)},
    ),
    "moments to match": (
        MATCHINGS,
        {
            "mean": (-2.0, 2.0), "variance": (0.1, 3.0), "log_snr": (-4.0, 0.0), "span": (1.0, 8.0),
            "steps": (2, 6),
        },
    ),
    "regressions of solvers": (
        REGRESSIONS, {"starts": (12, 24), "features": (2, 4)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_every_number_of_a_case_reaches_both_ends_of_what_is_said(name):
    strategy, ends = ENDS[name]
    cases = cases_of(strategy, 250)
    for field, (low, high) in ends.items():
        found = [x for case in cases for x in numbers(getattr(case, field))]
        near = (high - low) / 5
        assert low - ROUNDING <= min(found) <= low + near, field
        assert high - near <= max(found) <= high + ROUNDING, field


SCHEDULE_ENDS = {
    VPLinear: {"beta_min": (0.05, 1.0), "beta_max": (5.0, 30.0)},
    VPCosine: {"offset": (0.001, 0.05)},
    VEGeometric: {"sigma_min": (1e-5, 0.1), "sigma_max": (5.0, 1e3)},
    EDM: {"t_min": (1e-5, 0.002), "t_max": (80.0, 1e3)},
}


def test_every_number_of_a_schedule_reaches_both_ends_of_what_is_said():
    found = cases_of(SCHEDULES, 300)
    for kind, ends in SCHEDULE_ENDS.items():
        for field, (low, high) in ends.items():
            values, near = [getattr(s, field) for s in found if type(s) is kind], (high - low) / 5
            assert low <= min(values) <= low + near, field
            assert high - near <= max(values) <= high, field


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
    "components near a point": (LINE, lambda c: c.near > 0, {False, True}),
    "point masses near a point": (atomic_cases(1, 9.0), lambda c: c.near > 0, {False, True}),
    "errors of bets": (TWO_POINTS, lambda c: c.error, {0.05, 0.001}),
    "planned lengths of bets": (TWO_POINTS, lambda c: c.planned, {1, 10, 400}),
    "cells of regressions": (REGRESSIONS, lambda c: c.kind, set(kinds_for((2, 4, 4)))),
    "ridges of regressions": (REGRESSIONS, lambda c: c.ridge, set(RIDGES)),
    "targets of a gain": (CALIBRATION_GAIN_CASES, lambda c: c.target, set(NAMED.values())),
    "pairs to regress on": (
        regression_cases(("x", "y")), lambda c: c.features, {("x", "y"), ("y", "x")},
    ),
    "targets": (TARGETS, lambda target: target, set(NAMED.values())),
    "conversions to another target": (conversion_cases(), lambda c: c.source == c.to, {False, True}),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_drawn(name):
    strategy, of, expected = KINDS[name]
    assert {of(case) for case in cases_of(strategy, 200)} == expected


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


SEEN = {
    "mixtures": (LINE, lambda c: (c.diffusion.data, c.near)),
    "point masses": (atomic_cases(1, 9.0), lambda c: (c.diffusion.data, c.near)),
    "extreme mixtures": (extreme_cases(1), lambda c: (c.diffusion.data, c.near)),
    "labels": (guided_cases(), lambda c: (c.diffusion.data, c.label)),
}


@pytest.mark.parametrize("name", SEEN)
def test_a_point_lies_so_many_deviations_from_the_component_that_is_named(name):
    strategy, of = SEEN[name]
    for case in drawn(strategy, 20):
        (data, k), schedule, t = of(case), case.times.schedule, float64(case.times.t)
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        deviation = torch.sqrt(alpha**2 * data.variances[k] + sigma**2)
        expected = alpha * data.means[k] + float64(case.offset) * deviation
        assert torch.allclose(case.x_t().flatten(), expected, rtol=1e-9, atol=1e-12)


def test_a_chain_starts_so_many_deviations_from_the_mean():
    case = GaussianChainCase(0.5, 2.0, TimePair(RectifiedFlow(), 0.2, 0.5), 3.0)
    assert case.x_t() == pytest.approx(0.25 + 3 * math.sqrt(1.0 + 0.25))
    alpha, c = case.ends()
    assert alpha.tolist() == pytest.approx([0.8, 0.5])
    assert c.tolist() == pytest.approx([0.64 * 4 + 0.04, 0.25 * 4 + 0.25])


def test_points_are_the_means_the_point_and_those_of_all_odds_between_two_means():
    case = CommonCovarianceCase(
        (0.2, 0.8), ((-1.0, 0.5), (1.0, 0.0)), 0.5, TimePair(VPLinear(), 0.1, 0.2), (3.0, -2.0)
    )
    law, points = case.law, case.points()
    assert torch.equal(points[:2], law.means)
    offset = (points[2] - law.means[0]) / law.variances[0].sqrt()
    assert offset.tolist() == pytest.approx([3.0, -2.0])
    odds = law.log_components_of(law.centred(points[3:])).diff(dim=1)[:, 0]
    assert (-odds).tolist() == pytest.approx(list(LOG_ODDS))
