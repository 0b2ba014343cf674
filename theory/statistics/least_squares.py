"""Ridge regression on two features, from moments.

With features f and a residual r about their means, C = E f f^T and c = E f r, subtracting theta.f
from r lowers E r^2 by

    2 theta.c - theta.C theta,

which is largest at theta = C^{-1} c, where it is c.C^{-1} c. Moments come as six mean products, E xx,
E xy, E yy, E xr, E yr, E rr for features x and y, in the dimension before the last.
"""

import torch
from jaxtyping import Float64
from torch import Tensor

XX, XY, YY, XR, YR, RR = range(6)
"""Positions of the six mean products of the features x and y and the residual r."""

LEAST_RIDGE = 1e-9
"""The least ridge: it keeps the slopes of collinear features finite."""


def ridge_slopes(
    products: Float64[Tensor, "*many 6 cell"],
    ridge: float = LEAST_RIDGE,
    whole: Float64[Tensor, "*many 6 1"] | None = None,
) -> Float64[Tensor, "*many 2 cell"]:
    """Slopes of every cell, shrunk toward the slopes of all cells together:

        theta = (C + kappa D)^{-1} (c + kappa D theta_whole),    D = diag C.

    Args:
        products: the six mean products of every cell.
        ridge: kappa.
        whole: products of all cells together (default: these are all).

    Returns:
        (a, b) of every cell, the slopes of x and y. A feature that does not vary has slope 0.
    """
    together = products.sum(-1, keepdim=True) if whole is None else whole
    of_whole = _solve(together, torch.zeros(2, 1, dtype=torch.float64), LEAST_RIDGE)
    return _solve(products, of_whole, ridge)


def _solve(products: Tensor, toward: Tensor, ridge: float) -> Tensor:
    """The slopes in closed form, from features of unit size: their scales cannot make C singular."""
    size = products[..., [XX, YY], :].clamp(min=0).sqrt()
    unit = torch.where(size > 0, size, 1.0)
    correlation = (products[..., XY, :] / unit.prod(-2)).clamp(-1, 1)
    x, y = (products[..., [XR, YR], :] / unit + ridge * size * toward).unbind(-2)
    diagonal = 1 + ridge
    determinant = (diagonal - correlation) * (diagonal + correlation)
    solved = [diagonal * x - correlation * y, diagonal * y - correlation * x]
    return torch.stack(solved, -2) / determinant[..., None, :] / unit


def explained_variance(
    slopes: Float64[Tensor, "*many 2 cell"], products: Float64[Tensor, "*many 6 cell"]
) -> Float64[Tensor, "*many"]:
    """What the slopes take off E r^2: 2 theta.c - theta.C theta, summed over cells.

    It is negative where slopes fitted to other data do harm.
    """
    a, b = slopes.unbind(-2)
    xx, xy, yy, xr, yr, _ = products.unbind(-2)
    return (2 * (a * xr + b * yr) - (a**2 * xx + 2 * a * b * xy + b**2 * yy)).sum(-1)
