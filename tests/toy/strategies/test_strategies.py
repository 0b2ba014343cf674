"""What the strategies make is what they say: times in order and within bounds, laws of their numbers."""

import math

import pytest
import torch
from hypothesis import given, seed, settings

from theory.diffusion.schedules import EDM, RectifiedFlow, VPLinear
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.numerics.quadrature import expectation
from toy.strategies.extremes import ExtremeCase, ShiftedExtreme
from toy.strategies.gaussians import GaussianChainCase
from toy.strategies.likelihood import LIKELIHOOD_CASES
from toy.strategies.time_pairs import (
    DISTANT_TIME_PAIRS,
    LOG_SNR_LEAST,
    LOG_SNR_MOST,
    MIN_GAP,
    TIME_PAIRS,
    TimePair,
    log_snr_range,
    near_time_pairs,
    time_pair,
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
