"""(d^k q)/q of a mixture against automatic differentiation of its density."""

import pytest
import torch
from torch.autograd.functional import hessian, jacobian

from theory.diffusion.schedules import VPLinear
from theory.support.errors import InputError
from toy.mixtures.density_derivatives import (
    component_derivatives,
    density_derivatives,
    log_translation,
    tower_martingale,
)
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture


def mixture(dimension):
    generator = torch.Generator().manual_seed(dimension)
    means = torch.randn(3, dimension, generator=generator, dtype=torch.float64)
    factors = torch.randn(3, dimension, dimension, generator=generator, dtype=torch.float64)
    covariances = factors @ factors.mT + 0.3 * torch.eye(dimension, dtype=torch.float64)
    return GaussianMixture.full(torch.tensor([0.5, 0.3, 0.2]), means, covariances)


def by_autograd(law, x, order):
    def q(point):
        return torch.exp(law.log_density(point))

    if order == 1:
        derivative = jacobian(q, x)
    elif order == 2:
        derivative = hessian(q, x)
    else:
        derivative = jacobian(lambda point: hessian(q, point, create_graph=True), x)
    return derivative.flatten() / q(x)


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_orders_against_autograd(dimension, order):
    law = mixture(dimension)
    x = torch.linspace(-0.5, 0.8, dimension, dtype=torch.float64)
    torch.testing.assert_close(density_derivatives(law, x, order), by_autograd(law, x, order))


def test_order_one_is_the_score_and_order_two_its_completed_hessian():
    law, x = mixture(2), torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double()
    score = law.score(x)
    torch.testing.assert_close(density_derivatives(law, x, 1), score)
    completed = law.hessian(x) + score[:, :, None] * score[:, None, :]
    torch.testing.assert_close(density_derivatives(law, x, 2), completed.flatten(1))


def test_martingale_scales_by_the_power_of_alpha():
    diffusion, x = Diffusion(mixture(2), VPLinear()), torch.ones(2, dtype=torch.float64)
    alpha_t = diffusion.scales(0.4)[0]
    for order in (1, 2, 3):
        expected = alpha_t**order * density_derivatives(diffusion.marginal(0.4), x, order)
        torch.testing.assert_close(tower_martingale(diffusion, x, 0.4, order), expected)


def test_translation_expands_in_the_orders():
    law, x, h = mixture(1), torch.tensor([0.3], dtype=torch.float64), 1e-3
    shift = torch.tensor([h], dtype=torch.float64)
    first, second, third = (density_derivatives(law, x, n).item() for n in (1, 2, 3))
    series = 1 - h * first + h**2 / 2 * second - h**3 / 6 * third
    assert torch.exp(log_translation(law, x, shift)).item() == pytest.approx(series, abs=1e-9)


@pytest.mark.parametrize("order", [0, 4])
def test_other_orders_are_refused(order):
    with pytest.raises(InputError, match="expected an order from 1 to 3"):
        component_derivatives(mixture(1), torch.zeros(1, dtype=torch.float64), order)
