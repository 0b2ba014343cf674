"""Calibration of order 1: regress the residual on x_t and y_theta, share the slopes by what is known.

With f = (x_t, y_theta) about its mean and r the residual, the slope theta of least squares lowers
the denoising loss by exactly the explained energy (Stein: with y in place of the posterior mean the
cross moments are those of the network's own error, as the target's own noise is uncorrelated with
any function of x_t). Per cell of coordinates

    theta = (C + kappa D)^{-1} (c + kappa D theta_whole),    C = E f f^T, c = E f r, D = diag C,

so that a cell of which little is known has the slope of the whole image. Which cells, how strong a
kappa and how much smoothing over log-SNR is chosen at each time by the gain on left-out groups of
images, "none" among them; the gain that is certified is that of the choice which all other groups
would make.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.affine_sums import RR, XR, XX, XY, YR, YY, AffineSums
from theory.cells import (
    Cells,
    channels,
    frequencies,
    from_cosines,
    has_frequencies,
    octaves,
    pixels,
    whole,
)
from theory.certificates import LEAST_GROUPS, lower_bounds
from theory.shrinkage import Policy
from theory.slopes import Slopes
from theory.smoothing import smoothers

RIDGES = (0.01, 0.1, 1.0)
LEAST_RIDGE = 1e-9
"""What keeps the slopes of collinear features finite."""

SMOOTHINGS = slice(0, None, 3)
"""Which of the smoothing strengths are tried."""

NONE = "none"


@dataclass(frozen=True, eq=False)
class _Candidate:
    """One way of fitting all times: slopes (T, 2, cell), and gains (G, T) on left-out groups."""

    cells: Cells
    slopes: Float64[Tensor, "time 2 cell"]
    gains: Float64[Tensor, "group time"]


@dataclass(frozen=True, eq=False)
class FirstOrder:
    """What was chosen: the slopes, and their gains (G, T) on each group from all others."""

    slopes: Slopes
    gains: Float64[Tensor, "group time"]


def first_order(
    sums: list[AffineSums],
    centres: Float64[Tensor, "time 3 d"],
    log_snr: Float64[Tensor, "time"],
    policy: Policy,
    statements: int,
) -> FirstOrder:
    """Choose and fit the slopes of each time.

    Args:
        sums: of each time.
        centres: means of x_t, y_theta and the residual.
        log_snr: of the times.
        policy: how careful to be.
        statements: how many certificates are to hold together.
    """
    shape = sums[0].shape
    used = torch.stack([s.draws > 0 for s in sums]).all(0)
    candidates = [
        candidate
        for cells, ridges in _ways(shape)
        for candidate in _candidates(_products(sums, centres, cells)[used], cells, ridges, log_snr)
    ]
    n, times = int(used.sum()), len(sums)
    nothing = torch.zeros(1, n, times, dtype=torch.float64)
    gains = torch.cat([nothing, *(c.gains[None] for c in candidates)])
    honest = _chosen_by_others(gains)
    bounds = lower_bounds(honest, statements)
    best = gains.mean(1).argmax(0)
    best = torch.where(policy.applies(bounds), best, 0)
    slopes = _assemble(best.tolist(), candidates, centres, shape)
    honest = torch.where(best > 0, honest, 0.0)
    kinds = tuple(candidates[k - 1].cells.name if k else NONE for k in best.tolist())
    return FirstOrder(Slopes(*slopes, kinds, honest.mean(0), bounds), honest)


def _ways(shape: tuple[int, ...]) -> Iterator[tuple[Cells, tuple[float, ...]]]:
    yield whole(shape), (LEAST_RIDGE,)
    yield pixels(shape), RIDGES
    if len(shape) == 3 and shape[0] > 1:
        yield channels(shape), (LEAST_RIDGE,)
    if has_frequencies(shape):
        yield octaves(shape), (LEAST_RIDGE,)
        yield frequencies(shape), RIDGES


def _products(
    sums: list[AffineSums], centres: Float64[Tensor, "time 3 d"], cells: Cells
) -> Float64[Tensor, "group time 6 cell"]:
    return torch.stack([s.centred(c, cells) for s, c in zip(sums, centres, strict=True)], 1)


def _candidates(
    products: Float64[Tensor, "group time 6 cell"],
    cells: Cells,
    ridges: tuple[float, ...],
    log_snr: Float64[Tensor, "time"],
) -> Iterator[_Candidate]:
    """Every ridge and smoothing of one division into cells."""
    n, total = len(products), products.sum(0)
    mean = total / n
    scale = mean[:, [XX, YY]].mean(2, keepdim=True).sqrt()
    scale = torch.where(scale > 0, scale, 1.0)
    matrices = smoothers(log_snr, mean[:, RR].mean(1) / n)[SMOOTHINGS]
    for ridge in ridges:
        fitted = _fit(mean, ridge) * scale
        if n >= LEAST_GROUPS:
            left_out = torch.stack([_fit((total - p) / (n - 1), ridge) for p in products]) * scale
        for matrix in matrices:
            gains = torch.full(products.shape[:2], -torch.inf, dtype=torch.float64)
            if n >= LEAST_GROUPS:
                gains = _gains(_smooth(matrix, left_out) / scale, products)
            yield _Candidate(cells, _smooth(matrix, fitted) / scale, gains)


def _fit(products: Float64[Tensor, "time 6 cell"], ridge: float) -> Float64[Tensor, "time 2 cell"]:
    """Ridge regression toward the slopes of the whole, in every cell."""
    of_whole = _solve(products.sum(2, keepdim=True), torch.zeros(2, 1).double(), LEAST_RIDGE)
    return _solve(products, of_whole, ridge)


def _solve(products: Tensor, toward: Tensor, ridge: float) -> Tensor:
    xx, xy, yy, xr, yr = (products[:, k] for k in (XX, XY, YY, XR, YR))
    a, b = toward.expand(len(products), 2, -1).unbind(1)
    least = torch.finfo(torch.float64).tiny
    right_x, right_y = xr + ridge * xx * a, yr + ridge * yy * b
    xx, yy = (1 + ridge) * xx + least, (1 + ridge) * yy + least
    determinant = xx * yy - xy**2
    return torch.stack(
        [(yy * right_x - xy * right_y) / determinant, (xx * right_y - xy * right_x) / determinant],
        1,
    )


def _smooth(matrix: Tensor, slopes: Tensor) -> Tensor:
    """Smooth (..., T, 2, cell) over times."""
    return torch.einsum("st,...tkc->...skc", matrix, slopes)


def _gains(
    slopes: Float64[Tensor, "group time 2 cell"],
    products: Float64[Tensor, "group time 6 cell"],
) -> Float64[Tensor, "group time"]:
    """2 E theta.f r - E (theta.f)^2 of each group under its slopes."""
    a, b = slopes.unbind(2)
    xx, xy, yy, xr, yr = (products[:, :, k] for k in (XX, XY, YY, XR, YR))
    per_cell = 2 * (a * xr + b * yr) - (a**2 * xx + 2 * a * b * xy + b**2 * yy)
    return per_cell.sum(2)


def _chosen_by_others(
    gains: Float64[Tensor, "candidate group time"],
) -> Float64[Tensor, "group time"]:
    """Each group's gain under the candidate that has the largest gain on all other groups."""
    if not gains.isfinite().all():
        return gains[-1]
    others = gains.sum(1, keepdim=True) - gains
    return gains.gather(0, others.argmax(0, keepdim=True))[0]


def _assemble(
    best: list[int],
    candidates: list[_Candidate],
    centres: Float64[Tensor, "time 3 d"],
    shape: tuple[int, ...],
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Offset, slopes on pixels and slopes on cosines, of all times."""
    times, d = len(best), centres.shape[2]
    pixel, cosine = torch.zeros(2, times, 2, d, dtype=torch.float64)
    offset = torch.zeros(times, d, dtype=torch.float64)
    for k, choice in enumerate(best):
        if choice == 0:
            continue
        cells = candidates[choice - 1].cells
        slopes = candidates[choice - 1].slopes[k][:, cells.index]
        centre = (slopes * cells.coordinates(centres[k, :2])).sum(0)
        offset[k] = -(from_cosines(centre, shape) if cells.cosine else centre)
        (cosine if cells.cosine else pixel)[k] = slopes
    return (
        offset.reshape(times, *shape),
        pixel.reshape(times, 2, *shape),
        cosine.reshape(times, 2, *shape) if cosine.any() else None,
    )
