"""The weight of an estimate: between 0 and 1, nothing for noise, and less risk than weight one."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import chi2, norm

from tests.draws import normal
from theory.statistics.shrinkage import CERTIFIED, SHRUNK, james_stein, unshrunk

LEVEL = 1e-6
DIMENSION, ERROR = 64, 64.0

vectors = st.lists(st.floats(-100, 100), min_size=1, max_size=8).map(
    lambda numbers: torch.tensor(numbers, dtype=torch.float64)
)
energies = st.floats(0, 1e5)


def weight_of(shrinkage, estimate, error_energy):
    """The weight of one vector with one error."""
    energy = estimate.square().sum()
    return shrinkage(energy, torch.tensor(error_energy, dtype=torch.float64)).item()


def is_a_weight(weight, estimate, error_energy):
    """In [0, 1], and zero where the estimate is no larger than its noise."""
    is_noise = estimate.square().sum().item() <= error_energy
    return weight == 0 if is_noise else 0 <= weight <= 1


@given(vectors, energies)
def test_the_weight_is_between_zero_and_one_and_zero_for_noise(estimate, error_energy):
    assert is_a_weight(weight_of(james_stein, estimate, error_energy), estimate, error_energy)


def test_other_weights_are_told_apart():
    noise = torch.tensor([1.0, 1.0], dtype=torch.float64)
    assert not is_a_weight(weight_of(unshrunk, noise, 3.0), noise, 3.0)
    assert not is_a_weight(1 - 3.0 / noise.square().sum().item(), noise, 3.0)


@pytest.mark.parametrize(("error_energy", "weight"), [(0.0, 1.0), (5.0, 0.8), (25.0, 0.0)])
def test_the_weight_is_the_positive_part_of_one_less_the_noise_share(error_energy, weight):
    estimate = torch.tensor([[3.0], [4.0]], dtype=torch.float64)
    assert weight_of(james_stein, estimate, error_energy) == pytest.approx(weight, rel=1e-14)
    assert weight_of(unshrunk, estimate, error_energy) == 1.0


def test_a_zero_estimate_has_weight_zero():
    assert weight_of(james_stein, torch.zeros(3, dtype=torch.float64), 0.0) == 0.0
    assert weight_of(james_stein, torch.ones(3, dtype=torch.float64), 0.0) == 1.0


def risk_without_signal(shrinkage):
    """E|c x|^2 for x ~ N(0, I) in 64 dimensions, where |x|^2 is chi-squared: one integral."""

    def loss(square):
        estimate = torch.tensor([math.sqrt(square)], dtype=torch.float64)
        return weight_of(shrinkage, estimate, ERROR) ** 2 * square * chi2.pdf(square, DIMENSION)

    return quad(loss, 0, 400, points=[DIMENSION], limit=200)[0]


def test_without_signal_nearly_nothing_is_applied():
    assert risk_without_signal(unshrunk) == pytest.approx(DIMENSION, rel=1e-6)
    assert risk_without_signal(james_stein) < DIMENSION / 50


def gain_over_unshrunk(shrinkage, signal):
    """Mean fall of the loss against weight one over seeded draws, in its own deviations."""
    eta = torch.zeros(DIMENSION, dtype=torch.float64)
    eta[0] = math.sqrt(signal)
    draws = eta + normal(0, 2000, DIMENSION)
    weights = torch.tensor([weight_of(shrinkage, x, ERROR) for x in draws], dtype=torch.float64)
    falls = (draws - eta).square().sum(1) - (weights[:, None] * draws - eta).square().sum(1)
    return (falls.mean() / falls.std() * len(falls) ** 0.5).item()


@pytest.mark.parametrize("signal", [0, 8, 64, 512])
def test_shrinking_lowers_the_risk_whatever_the_signal(signal):
    assert gain_over_unshrunk(james_stein, signal) > norm.isf(LEVEL)


def test_a_fixed_weight_does_not():
    def half(energy, error):
        return 0.5 * torch.ones_like(energy)

    assert gain_over_unshrunk(half, 0) > norm.isf(LEVEL)
    assert gain_over_unshrunk(half, 512) < -norm.isf(LEVEL)


def test_parts_are_shrunk_apart():
    energy = torch.tensor([[4.0, 4.0], [0.0, 100.0]], dtype=torch.float64)
    error = torch.tensor([[1.0, 8.0], [1.0, 1.0]], dtype=torch.float64)
    assert james_stein(energy, error).tolist() == [[0.75, 0.0], [0.0, 0.99]]


def test_a_gain_of_nothing_is_not_certain():
    bounds = torch.tensor([-1.0, 0.0, 1e-9, -math.inf], dtype=torch.float64)
    assert CERTIFIED.applies(bounds).tolist() == [False, False, True, False]
    assert SHRUNK.applies(bounds).all()
