"""Least squares on two features, from moments.

With features f and a residual r about their means, C = E f f^T and c = E f r, subtracting theta.f
from r lowers E r^2 by

    2 theta.c - theta.C theta,

which is largest at theta = C^{-1} c, where it is c.C^{-1} c. Moments are kept as the six products of
``theory.estimators.affine_sums``, in the dimension before the last.
"""

import torch
from jaxtyping import Float64
from torch import Tensor

XX, XY, YY, XR, YR, RR = range(6)
"""Positions of the six products of features x and y and residual r."""

LEAST_RIDGE = 1e-9
"""What keeps the slopes of collinear features finite."""


def ridge_slopes(
    products: Float64[Tensor, "*many 6 cell"], ridge: float = LEAST_RIDGE
) -> Float64[Tensor, "*many 2 cell"]:
    """Slopes of every cell, toward those of all cells together.

        theta = (C + kappa D)^{-1} (c + kappa D theta_whole),    D = diag C.

    Args:
        products: E xx, xy, yy, xr, yr, rr of the features x and y and the residual r.
        ridge: kappa; a feature that does not vary has slope 0.
    """
    of_whole = _solve(
        products.sum(-1, keepdim=True), torch.zeros(2, 1, dtype=torch.float64), LEAST_RIDGE
    )
    return _solve(products, of_whole, ridge)


def _solve(products: Tensor, toward: Tensor, ridge: float) -> Tensor:
    """In units of each feature, so that neither their scales nor rounding can make it singular."""
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
    """2 theta.c - theta.C theta under these products, summed over cells."""
    a, b = slopes.unbind(-2)
    xx, xy, yy, xr, yr, _ = products.unbind(-2)
    return (2 * (a * xr + b * yr) - (a**2 * xx + 2 * a * b * xy + b**2 * yy)).sum(-1)
