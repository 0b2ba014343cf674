"""Exponential tilting: a constant shift of the score tilts the density.

A score s = grad log p minus a constant eta is the score of p(x) exp(-eta.x) / Z, which is a density
only if Z = int p(x) exp(-eta.x) dx is finite: always for a Gaussian, for exponential tails if eta is
small, never for heavier tails.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.support.errors import InputError

FARTHEST = 40
"""The tails are probed at distances up to 2^40 times the scale."""


def require_normalizable(score: Callable[[float], float], eta: float, scale: float = 1.0) -> None:
    """Refuse a shift under which p(x) exp(-eta x) has an infinite integral.

    The integrand falls faster than 1/|x| where x (s(x) - eta) < -1, which is checked at the farthest
    distances of both tails. The check is exact for tails that are regular from there on (Gaussian,
    exponential, powers); it cannot see tails that change farther out.

    Args:
        score: s, of one number.
        eta: the shift.
        scale: the unit of distance.

    Raises:
        InputError: the integral is infinite.
    """
    for side in (-1.0, 1.0):
        for power in range(FARTHEST - 8, FARTHEST):
            x = side * scale * 2.0**power
            if not x * (score(x) - eta) < -1:
                raise InputError(
                    f"tilt: p(x) exp(-eta x) with eta = {eta:g} has an infinite integral: "
                    f"it does not fall at x = {x:.3g}"
                )


def require_normalizable_along(
    score: Callable[[Tensor], Tensor],
    eta: Float64[Tensor, "d"],
    directions: Float64[Tensor, "n d"],
    scale: float = 1.0,
) -> None:
    """Refuse a shift under which p(x) exp(-eta.x) on R^d has an infinite integral.

    The integrand falls faster than |x|^-d along a ray where x.(s(x) - eta) < -d, which is checked at
    the farthest distances along the directions and along -eta, where the tilt is largest. The check
    is exact for tails that are regular from there on, and between the directions.

    Args:
        score: s, from points (m, d) to (m, d).
        eta: the shift.
        directions: unit vectors.
        scale: the unit of distance.

    Raises:
        InputError: the integral is infinite.
    """
    if eta.any():
        directions = torch.cat([directions, -eta[None] / eta.norm()])
    for power in range(FARTHEST - 8, FARTHEST):
        x = scale * 2.0**power * directions
        falls = (x * (score(x) - eta)).sum(1) < -x.shape[1]
        if not falls.all():
            where = ", ".join(f"{entry:.3g}" for entry in x[~falls][0].tolist())
            raise InputError(
                f"tilt: p(x) exp(-eta.x) with |eta| = {eta.norm():g} has an infinite integral: "
                f"it does not fall at x = ({where})"
            )


def circle(n: int) -> Float64[Tensor, "n 2"]:
    """n equally spaced directions in the plane, which include the axes if 4 divides n."""
    angles = 2 * torch.pi * torch.arange(n, dtype=torch.float64) / n
    return torch.stack([torch.cos(angles), torch.sin(angles)], 1)
