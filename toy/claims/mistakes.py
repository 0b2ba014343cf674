"""Mistakes that mutants of several claims make: in the reverse kernel, and in the power of alpha."""

from dataclasses import replace

import torch
from torch import Tensor

from toy.mixtures.density_derivatives import tower_martingale
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture


def prior_weights(diffusion: Diffusion, x_t: Tensor, s: float, t: float) -> GaussianMixture:
    """The reverse kernel with the components' prior weights for P(k|x_t)."""
    kernel = diffusion.reverse_kernel(x_t, s, t)
    return replace(kernel, log_weights=diffusion.data.log_weights.expand(kernel.log_weights.shape))


def forward_variance(diffusion: Diffusion, x_t: Tensor, s: float, t: float) -> GaussianMixture:
    """The reverse kernel with the variance V of the forward transition."""
    kernel = diffusion.reverse_kernel(x_t, s, t)
    variance = torch.full_like(kernel.variances, diffusion.transition(s, t)[1])
    return replace(kernel, variances=variance)


def gain_without_a(diffusion: Diffusion, x_t: Tensor, s: float, t: float) -> GaussianMixture:
    """The reverse kernel with C_s C_t^-1 (x_t - alpha_t m) for its A-fold."""
    kernel, a = diffusion.reverse_kernel(x_t, s, t), diffusion.transition(s, t)[0]
    start = diffusion.marginal(s).means
    return replace(kernel, means=start + (kernel.means - start) / a)


def one_power_less(diffusion: Diffusion, x: Tensor, t: float, order: int) -> Tensor:
    """alpha_t^(n - 1) (d^n q)/q."""
    return tower_martingale(diffusion, x, t, order) / diffusion.scales(t)[0]
