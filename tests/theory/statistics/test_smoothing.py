"""Smoothing over log-SNR: the identity first, straight lines kept, in any order of times."""

import math

import numpy as np
import pytest
import torch
from scipy.interpolate import make_smoothing_spline

from theory.statistics.smoothing import STRENGTHS, curvature, smoothers

TIMES = 12
LOG_SNR = torch.linspace(-6, 6, TIMES, dtype=torch.float64)
ERRORS = torch.linspace(0.5, 2, TIMES, dtype=torch.float64)


def test_smoothers_start_with_none_and_keep_straight_lines():
    matrices = smoothers(LOG_SNR, ERRORS)
    assert torch.equal(matrices[0], torch.eye(TIMES, dtype=torch.float64))
    line = 2 - 3 * LOG_SNR
    for matrix in matrices:
        assert (matrix @ line - line).abs().max() < 1e-6
    parabola = LOG_SNR**2
    assert (matrices[-1] @ parabola - parabola).abs().max() > 0.1


@pytest.mark.parametrize("count", [5, 6, 40])
def test_smoothers_are_those_of_scipys_smoothing_spline(count):
    """On uneven times, with weights that differ by a factor of a thousand."""
    generator = torch.Generator().manual_seed(count)
    gaps, errors = torch.rand(2, count, dtype=torch.float64, generator=generator)
    log_snr, errors = (gaps + 0.1).cumsum(0) * 20 / count, 10 ** (3 * errors)
    weights = (1 / errors) / (1 / errors).mean()
    for strength, matrix in list(zip(STRENGTHS, smoothers(log_snr, errors), strict=True))[1:]:
        spline = make_smoothing_spline(
            log_snr.numpy(), np.eye(count), w=weights.numpy(), lam=strength
        )
        assert np.abs(spline(log_snr.numpy()) - matrix.numpy()).max() < 1e-9


def test_smoothers_do_not_depend_on_the_order_of_times():
    order = torch.randperm(TIMES, generator=torch.Generator().manual_seed(0))
    for matrix, shuffled in zip(
        smoothers(LOG_SNR, ERRORS), smoothers(LOG_SNR[order], ERRORS[order]), strict=True
    ):
        assert torch.allclose(matrix[order][:, order], shuffled, atol=1e-9)


def test_where_no_spline_is_possible_nothing_is_smoothed():
    infinite = torch.cat([LOG_SNR[:-1], torch.tensor([math.inf]).double()])
    assert len(smoothers(LOG_SNR[:4], ERRORS[:4])) == 1
    assert len(smoothers(infinite, ERRORS)) == 1
    assert len(smoothers(LOG_SNR, 0 * ERRORS)) == 1
    assert len(smoothers(LOG_SNR, ERRORS)) > 1


def test_a_time_of_large_error_moves_no_other():
    """Of a value that is hardly known, next to nothing is found at the times beside it."""
    errors = torch.ones(TIMES).double()
    errors[5] = 1e6
    matrix = smoothers(LOG_SNR, errors)[5]
    assert matrix[:, 5].abs().max() < 1e-3
    assert smoothers(LOG_SNR, torch.ones(TIMES).double())[5][:, 5].abs().max() > 0.05


@pytest.mark.parametrize("sign", [1, -1])
def test_the_curvature_of_stretches_of_three_times_by_hand(sign):
    """3 (second slope - first slope) / (whole length) in the middle; zero at ends and between."""
    log_snr = sign * torch.tensor([-4.0, -3.0, -1.0, 0.0, 2.0, 5.0, 6.0]).double()
    shift = torch.tensor([[1.0], [3.0], [2.0], [0.0], [-1.0], [2.0], [4.0]]).double()
    slopes = shift.diff(dim=0) / log_snr.diff()[:, None]
    expected = torch.zeros_like(shift)
    for k in (1, 5):
        expected[k] = 3 * (slopes[k] - slopes[k - 1]) / (log_snr[k + 1] - log_snr[k - 1])
    torch.testing.assert_close(curvature(log_snr, shift), expected)
