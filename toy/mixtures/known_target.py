"""The known target y = A x_0 + B e, and expectations of it given x_t.

Given x_t, y is a mixture of Gaussians in x_0: a quadratic of a Gaussian needs two points, its mean
plus and minus its deviation.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from toy.mixtures.diffusion import as_time
from toy.mixtures.planted_error import Misfit

Value = Callable[[Misfit, float, Tensor, Tensor], Tensor]


def known_target(model: Misfit, t: float, x_0: Tensor, e: Tensor) -> Tensor:
    """y = A x_0 + B e of a draw."""
    return model.target.value(model.diffusion.schedule, as_time(t), x_0, e)


def denoising_terms(
    model: Misfit, t: float, x_t: Tensor, of: Callable[[Tensor, Tensor], Tensor], value: Value
) -> Tensor:
    """E[of(y_theta, y)|x_t] for points (N, 1) and a quadratic ``of``, (N, m)."""
    alpha_t, sigma_t = model.diffusion.scales(t)
    posterior, y_theta = model.diffusion.posterior(x_t, t), model.at(x_t, t)
    result = torch.zeros((), dtype=torch.float64)
    for sign in (-1.0, 1.0):
        x_0 = posterior.means[..., 0] + sign * posterior.variances[:, 0].sqrt()
        e = (x_t - alpha_t * x_0) / sigma_t
        terms = of(y_theta, value(model, t, x_0, e))
        result = result + torch.einsum("nk,mnk->nm", torch.exp(posterior.log_weights), terms) / 2
    return result
