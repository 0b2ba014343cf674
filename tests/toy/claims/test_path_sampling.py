"""The mistake of an ODE without noise is that ODE: against its closed form."""

import pytest
import torch

from theory.diffusion.schedules import RectifiedFlow, VPLinear
from toy import Diffusion, GaussianMixture
from toy.claims.path_sampling import ode_step


@pytest.mark.parametrize("schedule", [VPLinear(), RectifiedFlow()], ids=repr)
def test_a_step_of_the_ode_keeps_the_deviations_from_the_mean(schedule):
    """Of N(m, v): (x_s - alpha_s m)/d_s = (x_t - alpha_t m)/d_t, d_t^2 = alpha_t^2 v + sigma_t^2."""
    mean, variance, (s, t) = 0.7, 0.3, (0.5, 0.55)
    law = GaussianMixture.diagonal(
        torch.ones(1), torch.full((1, 2), mean), torch.full((1,), variance)
    )
    diffusion, x_t = Diffusion(law, schedule), torch.tensor([[1.5, -0.4]] * 3).double()
    (alpha_s, d_s), (alpha_t, d_t) = (
        (alpha, (alpha**2 * variance + sigma**2) ** 0.5)
        for alpha, sigma in map(diffusion.scales, (s, t))
    )
    expected = alpha_s * mean + (x_t - alpha_t * mean) * d_s / d_t
    found = ode_step(diffusion, x_t, s, t, torch.Generator())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
