"""Ridge regression on two features, from moments.

With features f and a residual r about their means, C = E f f^T and c = E f r, subtracting theta.f
from r lowers E r^2 by

    2 theta.c - theta.C theta,

which is largest at theta = C^{-1} c, where it is c.C^{-1} c. Moments come as six mean products, E xx,
E xy, E yy, E xr, E yr, E rr for features x and y, in the dimension before the last.
"""

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

XX, XY, YY, XR, YR, RR = range(6)
"""Positions of the six mean products of the features x and y and the residual r."""

WITH_RESIDUAL = torch.tensor([False, False, False, True, True, True])[:, None]
"""Which of the products are with the residual."""

LEAST_RIDGE = 1e-9
"""The least ridge: it keeps the slopes of collinear features finite."""


def ridge_slopes(
    products: Float64[Tensor, "*many 6 cell"],
    ridge: float = LEAST_RIDGE,
    whole: Float64[Tensor, "*many 6 1"] | None = None,
    unseen: Float64[Tensor, "*#many 2 cell"] | None = None,
) -> Float64[Tensor, "*many 2 cell"]:
    """Slopes of every cell, shrunk toward the slopes of all cells together:

        theta = (C + kappa D + U)^{-1} (c + (kappa D + U) theta_whole),    D = diag C, U diagonal.

    Args:
        products: the six mean products of every cell.
        ridge: kappa.
        whole: products of all cells together (default: these are all).
        unseen: U, what x^2 and y^2 are taken to have beside what was seen (default: nothing).

    Returns:
        (a, b) of every cell, the slopes of x and y. A feature that does not vary has slope 0, or that
        of the whole where something of it is unseen.
    """
    together = products.sum(-1, keepdim=True) if whole is None else whole
    of_whole = _solve(together, torch.zeros(2, 1, dtype=torch.float64), LEAST_RIDGE)
    return _solve(products, of_whole, ridge, unseen)


def _solve(products: Tensor, toward: Tensor, ridge: float, unseen: Tensor | None = None) -> Tensor:
    """The slopes in closed form, from features of unit size: their scales cannot make C singular."""
    seen = products[..., [XX, YY], :].clamp(min=0)
    drawn = ridge * seen if unseen is None else ridge * seen + unseen
    size, unit = (torch.where(v > 0, v, 1.0).sqrt() for v in (seen, seen + drawn))
    correlation = (products[..., XY, :] / size.prod(-2)).clamp(-1, 1) * (size / unit).prod(-2)
    x, y = ((products[..., [XR, YR], :] + drawn * toward) / unit).unbind(-2)
    determinant = (1 - correlation) * (1 + correlation)
    solved = [x - correlation * y, y - correlation * x]
    return torch.stack(solved, -2) / determinant[..., None, :] / unit


def of_others(
    groups: int,
    total: Float64[Tensor, "*#many"],
    products: Float64[Tensor, "*many"],
    of_means: Float64[Tensor, "*many"],
) -> Float64[Tensor, "*many"]:
    """Mean products of all groups but one, about the means of these others:

        (sum_h P_h - P_g - Q_g / (n - 1)) / (n - 1)    over n groups.

    About the mean of all groups the values of one would follow from those of the others.

    Args:
        groups: n.
        total: sum of P over all groups.
        products: P, of one group or several, about the mean of all groups.
        of_means: Q, products of the means of these groups about the mean of all.
    """
    return (total - products - of_means / (groups - 1)) / (groups - 1)


def of_left_out(
    groups: int,
    products: Float64[Tensor, "*many"],
    of_means: Float64[Tensor, "*many"],
    with_residual: Bool[Tensor, "*some"],
) -> Float64[Tensor, "*many"]:
    """Mean products of each group, of features about the means of the others, as their slopes are used:

        P_g + Q_g (2 n - 1) / (n - 1)^2    of two features,
        P_g + Q_g / (n - 1)                of a feature and the residual.

    The residual is about the mean of all: a shift takes its mean off, which the slopes do not correct.
    Their expectations are then C plus the variance of the mean of the others, and c: what a new image
    would show.

    Args:
        groups, products, of_means: as for ``of_others``.
        with_residual: which of the products are with the residual; it broadcasts against them.
    """
    n = groups
    share = torch.where(with_residual, 1 / (n - 1), (2 * n - 1) / (n - 1) ** 2)
    return products + share * of_means


def explained_variance(
    slopes: Float64[Tensor, "*many 2 cell"], products: Float64[Tensor, "*many 6 cell"]
) -> Float64[Tensor, "*many"]:
    """What the slopes take off E r^2: 2 theta.c - theta.C theta, summed over cells.

    It is negative where slopes fitted to other data do harm.
    """
    a, b = slopes.unbind(-2)
    xx, xy, yy, xr, yr, _ = products.unbind(-2)
    return (2 * (a * xr + b * yr) - (a**2 * xx + 2 * a * b * xy + b**2 * yy)).sum(-1)
