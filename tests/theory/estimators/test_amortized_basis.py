"""One function for all times: a projection, and no more than a projection."""

import pytest
import torch

from theory.estimators.amortized_basis import amortize, basis, bound_fall
from theory.support.errors import InputError

LOG_SNR = torch.linspace(-3, 5, 12, dtype=torch.float64)
WEIGHTS = torch.linspace(0.1, 2, 12, dtype=torch.float64)
ETA = torch.stack([torch.sin(LOG_SNR), LOG_SNR**2 - 1, LOG_SNR], 1).reshape(12, 1, 3)


def test_shape_is_kept_and_the_span_reproduced():
    h = amortize(ETA, WEIGHTS, basis(LOG_SNR, 2))
    assert h.shape == ETA.shape
    torch.testing.assert_close(h[:, 0, 1:], ETA[:, 0, 1:])
    assert (h[:, 0, 0] - ETA[:, 0, 0]).abs().max() > 0.1


def test_as_many_functions_as_times_reproduce_anything():
    torch.testing.assert_close(amortize(ETA, WEIGHTS, basis(LOG_SNR, 11)), ETA)


def test_the_fall_is_greatest_at_the_fit():
    h = amortize(ETA, WEIGHTS, basis(LOG_SNR, 2))
    best = bound_fall(h, ETA, WEIGHTS)
    assert best < bound_fall(ETA, ETA, WEIGHTS)
    for column in basis(LOG_SNR, 2).T:
        assert bound_fall(h + 0.1 * column[:, None, None], ETA, WEIGHTS) < best


def test_refusals():
    with pytest.raises(InputError, match="degree"):
        basis(LOG_SNR, 12)
    with pytest.raises(InputError, match="weights"):
        amortize(ETA, 0 * WEIGHTS, basis(LOG_SNR, 2))


def test_a_single_time_has_the_constant():
    assert basis(torch.zeros(1).double(), 0).tolist() == [[1.0]]


def test_the_fall_of_the_bound_by_hand():
    """sum w (2 h eta - h^2) with h = (1, -2), eta = (3, 1), w = (2, 5): 2 * 5 + 5 * (-8)."""
    h, eta, w = (torch.tensor(x).double() for x in ([[1.0], [-2.0]], [[3.0], [1.0]], [2.0, 5.0]))
    assert bound_fall(h, eta, w).item() == 2 * 5 - 5 * 8
