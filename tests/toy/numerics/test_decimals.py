"""Decimal arithmetic against closed forms that are worked out by hand."""

import math

import pytest
import torch

from toy.mixtures.mixture import GaussianMixture
from toy.numerics.decimals import values_at

ONE = GaussianMixture.diagonal(
    torch.ones(1), torch.tensor([[1.0, -2.0]]), torch.tensor([[4.0, 0.25]])
)
AT = torch.tensor([3.0, -1.0], dtype=torch.float64)


def test_one_gaussian():
    values = values_at(ONE, AT)
    assert values.log_density.item() == pytest.approx(-math.log(2 * math.pi) - 0.5 - 2, rel=1e-15)
    assert values.responsibilities.tolist() == [1.0]
    assert values.score.tolist() == [-0.5, -4.0]
    assert values.hessian.tolist() == [[-0.25, 0.0], [0.0, -4.0]]


def test_a_quarter_turn_exchanges_the_axes():
    turn = torch.tensor([[[0.0, -1.0], [1.0, 0.0]]], dtype=torch.float64)
    turned = GaussianMixture(ONE.log_weights, ONE.means, ONE.variances, turn)
    values = values_at(turned, AT)
    assert values.score.tolist() == [-8.0, -0.25]
    assert values.hessian.tolist() == [[-4.0, 0.0], [0.0, -0.25]]


def test_two_components_in_the_middle():
    """At 0 between N(-2, 1) and N(2, 1): no score, and Hess = 4 - 1."""
    two = GaussianMixture.diagonal(torch.ones(2), torch.tensor([[-2.0], [2.0]]), torch.ones(2))
    values = values_at(two, torch.zeros(1, dtype=torch.float64))
    assert values.responsibilities.tolist() == [0.5, 0.5]
    assert values.score.tolist() == [0.0]
    assert values.hessian.tolist() == [[3.0]]
    assert values.log_density.item() == pytest.approx(-math.log(2 * math.pi) / 2 - 2, rel=1e-15)


def test_far_away_nothing_is_lost():
    two = GaussianMixture.diagonal(
        torch.tensor([1.0, 1e-12]), torch.tensor([[0.0], [1e6]]), torch.tensor([1e-10, 1e-10])
    )
    values = values_at(two, torch.tensor([1e6 + 1e-5], dtype=torch.float64))
    assert values.responsibilities.tolist() == [0.0, 1.0]
    assert values.score.item() == pytest.approx(-1e5, rel=1e-4)


def test_what_cancels_in_floating_point_is_told_apart():
    """A million deviations out the exponents are 5e11 and differ by 2: the share is 1/(1 + e^-2)."""
    one = torch.ones(2, dtype=torch.float64)
    law = GaussianMixture.diagonal(one, torch.tensor([[0.0], [2e-6]]).double(), one)
    m, x = law.means[1, 0].item(), 1e6
    found = values_at(law, torch.tensor([x], dtype=torch.float64)).responsibilities[1].item()
    assert abs(found - 1 / (1 + math.exp(-(x * m - m**2 / 2)))) < 1e-12
