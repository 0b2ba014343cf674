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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from theory.estimators import low_rank
from theory.estimators.affine_sums import AffineSums
from theory.estimators.constant_shift import shift_of
from theory.estimators.noise_energy import noise_energies
from theory.estimators.parts import Measured, Part, PartEstimator, Rules
from theory.estimators.slopes import NONE, Slopes
from theory.statistics.image_bases import (
    Partition,
    by_channel,
    by_dct_coefficient,
    by_dct_octave,
    by_pixel,
    has_dct_bands,
    inverse_dct,
    undivided,
)
from theory.statistics.least_squares import (
    LEAST_RIDGE,
    RR,
    XX,
    YY,
    explained_variance,
    ridge_slopes,
)
from theory.statistics.lower_bounds import LEAST_GROUPS, lower_bounds
from theory.statistics.shrinkage import Policy
from theory.statistics.smoothing import smoothers

RIDGES = (1e-4, 1e-3, 0.01, 0.1, 1.0)
SMOOTHINGS = slice(0, None, 3)
"""Which of the smoothing strengths are tried."""

AT_ONCE = 2**20
"""Numbers that left-out slopes are made from at once."""


@dataclass(frozen=True, eq=False)
class _SlopesTried:
    """One way of fitting all times: its slopes, and its gains (G, T) on left-out groups.

    The slopes are (T, 2, cell), or (T, 2 rank, d) where there are no cells: those of low rank.
    """

    cells: Partition | None
    slopes: Float64[Tensor, "time feature target"]
    gains: Float64[Tensor, "group time"]


@dataclass(frozen=True)
class SlopesEstimator(PartEstimator):
    """Estimates ``Slopes`` from sums of products of x_t, the prediction and the residual."""

    def sums(self, shape: tuple[int, ...]) -> AffineSums:
        """Empty sums of one time for images of this shape."""
        return AffineSums(shape)

    def fit(
        self, measured: Measured, sums: Sequence[AffineSums], rules: Rules, before: Sequence[Part]
    ) -> tuple[Slopes, Float64[Tensor, "group time"]]:
        """The slopes, with the noise energies that they leave, and their gains on each group."""
        grid, centres = measured.grid, _centres(measured, sums)
        slopes, gains = fit_slopes(sums, centres, grid.log_snr, rules.policy, rules.statements)
        shift = shift_of(before, slopes.offset)
        energies = noise_energies(
            grid.schedule, measured.target, grid.times, sums, centres, shift, slopes
        )
        return replace(slopes, noise_energy=energies), gains


def _centres(measured: Measured, sums: Sequence[AffineSums]) -> Float64[Tensor, "time 3 d"]:
    """Means of x_t, y_theta and the residual, by what is known of them beside their own average."""
    grid, mean_image = measured.grid, measured.mean_image.mean.flatten()
    alphas = grid.schedule.alpha(grid.times)
    a, _ = measured.target.coefficients(grid.schedule, grid.times)
    rows = [
        torch.stack([alpha * mean_image, a_t * mean_image + s.mean_error(), m.mean.flatten()])
        for alpha, a_t, s, m in zip(alphas, a, sums, measured.moments, strict=True)
    ]
    return torch.stack(rows)


def fit_slopes(
    sums: Sequence[AffineSums],
    centres: Float64[Tensor, "time 3 d"],
    log_snr: Float64[Tensor, "time"],
    policy: Policy,
    statements: int,
) -> tuple[Slopes, Float64[Tensor, "group time"]]:
    """The slopes of each time, and their gains on each group of images, from all other groups.

    Args:
        sums: of each time.
        centres: (T, 3, d), means of x_t, y_theta and the residual.
        log_snr: (T,), of the times.
        policy: what of the slopes is applied.
        statements: how many certificates hold together (Bonferroni's correction).
    """
    shape = sums[0].shape
    used = torch.stack([s.draws > 0 for s in sums]).all(0)
    energy = _products(sums, centres, undivided(shape))[used].mean(0)[:, RR, 0]
    matrices = smoothers(log_snr, energy / int(used.sum()))[SMOOTHINGS]
    candidates = [
        candidate
        for cells, ridges in _ways(shape)
        for candidate in _candidates(_products(sums, centres, cells)[used], cells, ridges, matrices)
    ]
    candidates += _low_rank_candidates(sums, centres, used)
    n, times = int(used.sum()), len(sums)
    nothing = torch.zeros(1, n, times, dtype=torch.float64)
    gains = torch.cat([nothing, *(c.gains[None] for c in candidates)])
    nested = chosen_by_others(gains)
    bounds = lower_bounds(nested, statements)
    best = gains.mean(1).argmax(0)
    best = torch.where(policy.applies(bounds), best, 0)
    chosen = [candidates[k - 1] if k else None for k in best.tolist()]
    offset, pixel, cosine, dense = _assemble(chosen, sums, centres)
    nested = torch.where(best > 0, nested, 0.0)
    kinds = tuple(_kind(candidate) for candidate in chosen)
    return Slopes(offset, pixel, cosine, kinds, nested.mean(0), bounds, dense), nested


def _kind(candidate: _SlopesTried | None) -> str:
    if candidate is None:
        return NONE
    return candidate.cells.name if candidate.cells else low_rank.NAME


def _ways(shape: tuple[int, ...]) -> Iterator[tuple[Partition, tuple[float, ...]]]:
    yield undivided(shape), (LEAST_RIDGE,)
    yield by_pixel(shape), RIDGES
    if len(shape) == 3 and shape[0] > 1:
        yield by_channel(shape), (LEAST_RIDGE,)
    if has_dct_bands(shape):
        yield by_dct_octave(shape), (LEAST_RIDGE,)
        yield by_dct_coefficient(shape), RIDGES


def _products(
    sums: Sequence[AffineSums], centres: Float64[Tensor, "time 3 d"], cells: Partition
) -> Float64[Tensor, "group time 6 cell"]:
    return torch.stack([s.centred(c, cells) for s, c in zip(sums, centres, strict=True)], 1)


def _candidates(
    products: Float64[Tensor, "group time 6 cell"],
    cells: Partition,
    ridges: tuple[float, ...],
    matrices: Sequence[Float64[Tensor, "time time"]],
) -> Iterator[_SlopesTried]:
    """Every ridge and smoothing of one division into cells."""
    n, total = len(products), products.sum(0)
    mean = total / n
    scale = mean[:, [XX, YY]].mean(2, keepdim=True).sqrt()
    scale = torch.where(scale > 0, scale, 1.0)
    for ridge in ridges:
        fitted = ridge_slopes(mean, ridge) * scale
        if n >= LEAST_GROUPS:
            left_out = _left_out_slopes(products, ridge) * scale
        for matrix in matrices:
            gains = torch.full(products.shape[:2], -torch.inf, dtype=torch.float64)
            if n >= LEAST_GROUPS:
                gains = explained_variance(_smooth(matrix, left_out) / scale, products)
            yield _SlopesTried(cells, _smooth(matrix, fitted) / scale, gains)


def _left_out_slopes(
    products: Float64[Tensor, "group time 6 cell"], ridge: float
) -> Float64[Tensor, "group time 2 cell"]:
    """The slopes that all other groups would make, for each group."""
    total, n = products.sum(0), len(products)
    some = products.split(max(1, AT_ONCE // total.numel()))
    return torch.cat([ridge_slopes((total - left) / (n - 1), ridge) for left in some])


def _smooth(matrix: Tensor, slopes: Tensor) -> Tensor:
    """Smooth (..., T, 2, cell) over times."""
    return torch.einsum("st,...tkc->...skc", matrix, slopes)


def chosen_by_others(
    gains: Float64[Tensor, "candidate group time"],
) -> Float64[Tensor, "group time"]:
    """Each group's gain under the candidate that has the largest gain on all other groups."""
    if not gains.isfinite().all():
        return gains[-1]
    others = gains.sum(1, keepdim=True) - gains
    return gains.gather(0, others.argmax(0, keepdim=True))[0]


def _low_rank_candidates(
    sums: Sequence[AffineSums],
    centres: Float64[Tensor, "time 3 d"],
    used: Bool[Tensor, "group"],
) -> Iterator[_SlopesTried]:
    """Every ridge of the slopes of low rank; none for what has no frequencies."""
    pairs = [
        s.low_rank.centred(s.draws, s.sums, c)
        for s, c in zip(sums, centres, strict=True)
        if s.low_rank is not None
    ]
    if not pairs:
        return
    square, cross = (torch.stack(part, 1)[used] for part in zip(*pairs, strict=True))
    n = len(square)
    for ridge in RIDGES:
        gains = torch.full(square.shape[:2], -torch.inf, dtype=torch.float64)
        if n >= LEAST_GROUPS:
            for g in range(n):
                others = (square.sum(0) - square[g]) / (n - 1)
                slopes = low_rank.ridge_map(others, (cross.sum(0) - cross[g]) / (n - 1), ridge)
                gains[g] = low_rank.explained(slopes, square[g], cross[g])
        yield _SlopesTried(None, low_rank.ridge_map(square.mean(0), cross.mean(0), ridge), gains)


def _assemble(
    chosen: list[_SlopesTried | None],
    sums: Sequence[AffineSums],
    centres: Float64[Tensor, "time 3 d"],
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Offset, slopes on pixels, on cosines and of low rank, of all times."""
    shape, times, d = sums[0].shape, len(chosen), centres.shape[2]
    pixel, cosine = torch.zeros(2, times, 2, d, dtype=torch.float64)
    offset = torch.zeros(times, d, dtype=torch.float64)
    dense = torch.zeros(times, 2 * low_rank.RANK, d, dtype=torch.float64)
    for k, candidate in enumerate(chosen):
        if candidate is None:
            continue
        cells, of_features = candidate.cells, sums[k].low_rank
        if cells is None:
            dense[k] = candidate.slopes[k]
            if of_features is not None:
                offset[k] = -(of_features.features(*centres[k, :2]) @ dense[k])
            continue
        slopes = candidate.slopes[k][:, cells.index]
        centre = (slopes * cells.coordinates(centres[k, :2])).sum(0)
        offset[k] = -(inverse_dct(centre, shape) if cells.cosine else centre)
        (cosine if cells.cosine else pixel)[k] = slopes
    return (
        offset.reshape(times, *shape),
        pixel.reshape(times, 2, *shape),
        cosine.reshape(times, 2, *shape) if cosine.any() else None,
        dense.reshape(times, -1, *shape) if dense.any() else None,
    )
