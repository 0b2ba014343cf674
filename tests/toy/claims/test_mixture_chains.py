"""The law of a chain that quadrature carries, against the closed form for one Gaussian."""

import math

import pytest
import torch

from theory.diffusion.euler_maruyama import euler_maruyama_step
from theory.diffusion.schedules import RectifiedFlow, VPLinear
from toy.claims import euler_maruyama, mixture_chains
from toy.strategies.gaussians import GaussianChainCase
from toy.strategies.mixtures import Components, ReverseCase
from toy.strategies.time_pairs import TimePair

MEAN, DEVIATION, OFFSET = 0.7, 0.8, 1.3


def cases(schedule):
    pair = TimePair(schedule, 0.45, 0.5)
    one = Components((1.0,), ((MEAN,),), ((DEVIATION,),), ())
    return ReverseCase(one, pair, 0, (OFFSET,)), GaussianChainCase(MEAN, DEVIATION, pair, OFFSET)


@pytest.mark.parametrize("schedule", [VPLinear(), RectifiedFlow()], ids=lambda s: s.name)
@pytest.mark.parametrize("steps", [1, 2, 16])
def test_one_gaussian_is_the_affine_chain(schedule, steps):
    mixture, line = cases(schedule)
    x, weights = mixture_chains.chain_law(mixture, steps, euler_maruyama_step)
    affine = euler_maruyama.chain(line, steps)
    mean = affine.offset + affine.gain * line.x_t()
    variance = (affine.weights @ affine.weights).item()
    assert weights.sum().item() == pytest.approx(1, rel=1e-12)
    assert (weights @ x).item() == pytest.approx(mean, rel=1e-12)
    assert (weights @ (x - mean) ** 2).item() == pytest.approx(variance, rel=1e-11)


def test_other_numbers_of_steps_have_another_law():
    mixture, line = cases(VPLinear())
    x, weights = mixture_chains.chain_law(mixture, 2, euler_maruyama_step)
    affine = euler_maruyama.chain(line, 4)
    assert abs((weights @ x).item() - affine.offset - affine.gain * line.x_t()) > 1e-4


def test_one_gaussians_coupling_is_between_two_normal_laws():
    """The squared distance of N(m, s^2) and N(m', s'^2) is (m - m')^2 + (s - s')^2."""
    mixture, line = cases(VPLinear())
    affine, (offset, gain, variance) = (
        euler_maruyama.chain(line, 1),
        euler_maruyama.exact_kernel(line),
    )
    means = (affine.offset + affine.gain * line.x_t(), offset + gain * line.x_t())
    deviations = (affine.weights.norm().item(), math.sqrt(variance))
    expected = (means[0] - means[1]) ** 2 + (deviations[0] - deviations[1]) ** 2
    got = mixture_chains._distance_sq(mixture, 0.45, euler_maruyama_step)
    assert got == pytest.approx(expected, rel=1e-9)


def test_quantiles_hold_far_out_on_either_side():
    law = cases(VPLinear())[0].components.mixture()
    z = torch.tensor([[-30.0], [-1.0], [0.0], [1.0], [30.0]], dtype=torch.float64)
    torch.testing.assert_close(
        mixture_chains._quantile(law, MEAN + DEVIATION * z), z, rtol=1e-12, atol=1e-12
    )
