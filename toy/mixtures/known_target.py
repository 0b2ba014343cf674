"""The known target y = A x_0 + B e, and expectations of it given x_t.

Given x_t, x_0 is a mixture of Gaussians. The mean of a quadratic of a Gaussian is that over two
points, its mean plus and minus its deviation.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from toy.mixtures.planted_error import PlantedErrorModel
from toy.mixtures.tensors import float64

Value = Callable[[PlantedErrorModel, float, Tensor, Tensor], Tensor]
"""From a model, a time, x_0 and e to the target y."""


def known_target(model: PlantedErrorModel, t: float, x_0: Tensor, e: Tensor) -> Tensor:
    """y = A x_0 + B e."""
    return model.target.value(model.diffusion.schedule, float64(t), x_0, e)


def denoising_terms(
    model: PlantedErrorModel,
    t: float,
    x_t: Tensor,
    of: Callable[[Tensor, Tensor], Tensor],
    value: Value,
) -> Tensor:
    """E[of(y_theta, y)|x_t], (N, m).

    Args:
        model: whose prediction is y_theta.
        t: the time.
        x_t: points (N, 1).
        of: from y_theta (N, 1) and y (N, K) to values (m, N, K); quadratic in y.
        value: the target y.
    """
    alpha_t, sigma_t = model.diffusion.scales(t)
    posterior, y_theta = model.diffusion.posterior(x_t, t), model.at(x_t, t)
    result = torch.zeros((), dtype=torch.float64)
    for sign in (-1.0, 1.0):
        x_0 = posterior.means[..., 0] + sign * posterior.variances[:, 0].sqrt()
        e = (x_t - alpha_t * x_0) / sigma_t
        terms = of(y_theta, value(model, t, x_0, e))
        result = result + torch.einsum("nk,mnk->nm", torch.exp(posterior.log_weights), terms) / 2
    return result
