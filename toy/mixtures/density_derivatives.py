"""Derivatives of a mixture's density over the density, (d^k q)/q, to the third order.

q = sum_k w_k N_k gives (d^k q)/q = sum_k P(k|x) (d^k N_k)/N_k. With s = grad log N_k and P the
precision of N_k, the derivatives of one component are Hermite's polynomials:

    s_i,    s_i s_j - P_ij,    s_i s_j s_l - P_ij s_l - P_il s_j - P_jl s_i.

All derivatives of order n are kept in one flat dimension of d^n entries, so that mixed ones repeat.
"""

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.support.errors import InputError
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, Points

MAX_ORDER = 3


def component_derivatives(
    law: GaussianMixture, x: Points, order: int
) -> Float64[Tensor, "*batch k m"]:
    """(d^k N_k)/N_k of every component, (*batch, K, d^order).

    Raises:
        InputError: an order that is not 1, 2 or 3.
    """
    s, p = law.component_scores(x), law.precisions()
    if order == 1:
        return s
    if order == 2:
        return (s[..., :, None] * s[..., None, :] - p).flatten(-2)
    if order == MAX_ORDER:
        cubes = torch.einsum("...i,...j,...l->...ijl", s, s, s)
        for pattern in ("kij,...kl", "kil,...kj", "kjl,...ki"):
            cubes = cubes - torch.einsum(f"{pattern}->...kijl", p, s)
        return cubes.flatten(-3)
    raise InputError(f"tower: expected an order from 1 to {MAX_ORDER}, got {order}")


def density_derivatives(law: GaussianMixture, x: Points, order: int) -> Float64[Tensor, "*batch m"]:
    """(d^k q)/q for every |k| = order, (*batch, d^order).

    Raises:
        InputError: an order that is not 1, 2 or 3.
    """
    own = component_derivatives(law, x, order)
    return torch.einsum("...k,...km->...m", law.responsibilities(x), own)


def tower_martingale(
    diffusion: Diffusion, x_t: Points, t: float, order: int
) -> Float64[Tensor, "*batch m"]:
    """alpha_t^order (d^k q_t)/q_t, (*batch, d^order): order 1 is the score martingale.

    Raises:
        InputError: an order that is not 1, 2 or 3.
    """
    return diffusion.scales(t)[0] ** order * density_derivatives(diffusion.marginal(t), x_t, order)


def log_translation(
    law: GaussianMixture, x: Points, shift: Float64[Tensor, "..."]
) -> Float64[Tensor, "*batch"]:
    """log q(x - shift)/q(x), which at shift alpha_t h is log L_t(h). (*batch,)."""
    return law.log_density(x - shift) - law.log_density(x)
