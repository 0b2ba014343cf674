"""Euler-Maruyama steps of the reverse SDE dx = (f x - g^2 s_theta) dt + g dw-bar.

The noise is additive, so the scheme has strong order 1 as well as weak order 1.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.diffusion.schedules import Schedule

Score = Callable[[Tensor, Tensor], Tensor]
"""(x (*batch, d), t (*time)) -> score, of the shape to which x and t broadcast."""


def euler_maruyama_step(
    score: Score,
    schedule: Schedule,
    x_t: Float64[Tensor, "*batch d"],
    s: Float64[Tensor, "*time"],
    t: Float64[Tensor, "*time"],
    noise: Float64[Tensor, "*batch d"],
) -> Float64[Tensor, "*broadcast d"]:
    """x_s = x_t - (f x_t - g^2 s_theta(x_t, t)) (t - s) + g sqrt(t - s) noise, f and g at t.

    Args:
        score: s_theta.
        schedule: gives f and g^2.
        x_t: points at t.
        s: the times to step to, s < t.
        t: the times to step from; both broadcast with the points.
        noise: standard normal draws.
    """
    f, g_sq, step = schedule.drift(t), schedule.diffusion_sq(t), t - s
    drift = f * x_t - g_sq * score(x_t, t)
    return x_t - drift * step + torch.sqrt(g_sq * step) * noise
