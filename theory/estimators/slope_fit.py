"""Calibration of order 1: regress the residual on x_t and y_theta, share the slopes by what is known.

With f = (x_t, y_theta) about its average and r the residual, the slope theta of least squares lowers
the denoising loss by exactly the explained energy (Stein: with y in place of the posterior mean the
cross moments are those of the network's own error, as the target's own noise is uncorrelated with
any function of x_t). Per cell of coordinates

    theta = (C + kappa D + U)^{-1} (c + (kappa D + U) theta_whole),    C = E f f^T, c = E f r, D = diag C,

so that a cell of which little is known has the slope of the whole image. A cell that hardly varies in
n images may vary as the others do in the next one. Its slopes would then do harm that no left-out image
shows, the more the larger they are. So U is what one such image in n would add: the mean of D over all
coordinates, divided by n. Which cells, how strong a kappa and how much smoothing over log-SNR is chosen
at each time by the gain on left-out groups of images, "none" among them; the gain that is certified is
that of the choice which all other groups would make.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.estimators import low_rank
from theory.estimators.affine_sums import AffineSums
from theory.estimators.constant_shift import shift_of
from theory.estimators.noise_energy import noise_energies
from theory.estimators.parts import Measured, Part, PartEstimator, Rules
from theory.estimators.slope_statistics import RIDGES, SlopeStatistics, partitions
from theory.estimators.slopes import NONE, Slopes
from theory.forward.forward_pass import GROUPS
from theory.statistics.image_bases import Partition, has_dct_bands, inverse_dct, undivided
from theory.statistics.least_squares import (
    LEAST_RIDGE,
    RR,
    WITH_RESIDUAL,
    XX,
    YY,
    explained_variance,
    of_left_out,
    of_others,
    ridge_slopes,
)
from theory.statistics.lower_bounds import LEAST_GROUPS, lower_bounds
from theory.statistics.shrinkage import Policy
from theory.statistics.smoothing import smoothers

SMOOTHINGS = slice(0, None, 3)
"""Which of the smoothing strengths are tried."""

AT_ONCE = 2**24
"""Products that slopes are fitted to at once."""

LEFT_OUT_AT_ONCE = 2**20
"""Numbers that left-out slopes are made from at once."""


@dataclass(frozen=True, eq=False)
class _SlopesTried:
    """One way of fitting all times, and its gains (G, T) on left-out groups.

    Attributes:
        cells: what slopes are shared by; None for those of low rank.
        ridge: how strongly those of a cell are drawn to those of the whole.
        matrix: smooths over times.
        gains: of each group and time.
    """

    cells: Partition | None
    ridge: float
    matrix: Float64[Tensor, "time time"]
    gains: Float64[Tensor, "group time"]


@dataclass(frozen=True)
class SlopesEstimator(PartEstimator):
    """Estimates ``Slopes`` from sums of products of x_t, the prediction and the residual."""

    def sums(self, shape: tuple[int, ...]) -> AffineSums:
        """Empty sums of one time for images of this shape."""
        return AffineSums(shape)

    def condensed(
        self, measured: Measured, sums: Sequence[AffineSums], *, in_files: bool
    ) -> list[SlopeStatistics]:
        """The products about their means, and the slopes of low rank."""
        used = torch.stack([s.draws > 0 for s in sums]).all(0)
        return [
            SlopeStatistics.of(s, used, n, in_file=in_files)
            for s, n in zip(sums, measured.independent, strict=True)
        ]

    def condensed_numbers(self, shape: tuple[int, ...]) -> int:
        """How many numbers ``condensed`` keeps of a time."""
        d = torch.Size(shape).numel()
        return d * (18 * GROUPS + 2 * low_rank.RANK if has_dct_bands(shape) else 9 * GROUPS)

    def fit(
        self,
        measured: Measured,
        sums: Sequence[SlopeStatistics],
        rules: Rules,
        before: Sequence[Part],
    ) -> tuple[Slopes, Float64[Tensor, "group time"]]:
        """The slopes, with the noise energies that they leave, and their gains on each group."""
        grid = measured.grid
        slopes, gains = fit_slopes(sums, grid.log_snr, rules.policy, rules.statements)
        shift = shift_of(before, slopes.offset)
        energies = noise_energies(grid.schedule, measured.target, grid.times, sums, shift, slopes)
        return replace(slopes, noise_energy=energies), gains


def fit_slopes(
    statistics: Sequence[SlopeStatistics],
    log_snr: Float64[Tensor, "time"],
    policy: Policy,
    statements: int,
) -> tuple[Slopes, Float64[Tensor, "group time"]]:
    """The slopes of each time, and their gains on each group of images, from all other groups.

    Args:
        statistics: of each time.
        log_snr: (T,), of the times.
        policy: what of the slopes is applied.
        statements: how many certificates hold together (Bonferroni's correction).
    """
    given = _Given.of(statistics, log_snr)
    candidates = [c for cells in partitions(statistics[0].shape) for c in _candidates(given, cells)]
    candidates += _low_rank_candidates(given)
    nothing = torch.zeros(1, given.groups, len(statistics), dtype=torch.float64)
    gains = torch.cat([nothing, *(c.gains[None] for c in candidates)])
    nested = chosen_by_others(gains)
    bounds = lower_bounds(nested, statements)
    best = gains.mean(1).argmax(0)
    best = torch.where(policy.applies(bounds), best, 0)
    chosen = [candidates[k - 1] if k else None for k in best.tolist()]
    offset, pixel, cosine, dense = _assemble(chosen, given)
    nested = torch.where(best > 0, nested, 0.0)
    kinds = tuple(_kind(candidate) for candidate in chosen)
    return Slopes(offset, pixel, cosine, kinds, nested.mean(0), bounds, dense), nested


def _kind(candidate: _SlopesTried | None) -> str:
    if candidate is None:
        return NONE
    return candidate.cells.name if candidate.cells else low_rank.NAME


@dataclass(frozen=True, eq=False)
class _Given:
    """What all ways of fitting have in common.

    Attributes:
        statistics: of each time.
        used: (G,), the groups that have images at every time.
        whole: (T, 6, 1), products of all cells together.
        whole_of_others: (G, T, 6, 1), those of all groups but one, of the groups that are used.
        matrices: that smooth over times.
    """

    statistics: Sequence[SlopeStatistics]
    used: Tensor
    whole: Float64[Tensor, "time 6 1"]
    whole_of_others: Float64[Tensor, "group time 6 1"]
    matrices: Sequence[Float64[Tensor, "time time"]]

    @classmethod
    def of(
        cls, statistics: Sequence[SlopeStatistics], log_snr: Float64[Tensor, "time"]
    ) -> "_Given":
        """From what is known of each time."""
        used = torch.stack([s.draws > 0 for s in statistics]).all(0)
        undivided_image = undivided(statistics[0].shape)
        whole = torch.stack([s.among(undivided_image) for s in statistics], 1)[used]
        of_means = torch.stack([s.of_means(undivided_image) for s in statistics], 1)[used]
        matrices = smoothers(log_snr, whole.mean(0)[:, RR, 0] / len(whole))[SMOOTHINGS]
        others = of_others(len(whole), whole.sum(0), whole, of_means)
        return cls(statistics, used, whole.mean(0), others, matrices)

    @property
    def groups(self) -> int:
        """How many are used."""
        return len(self.whole_of_others)

    def unseen(self, cells: Partition) -> Float64[Tensor, "time 2 cell"]:
        """What one image more, in which every coordinate varies as they do on average, adds to a cell."""
        return torch.stack([s.unseen for s in self.statistics])[..., None] * cells.sizes

    @property
    def scale(self) -> Float64[Tensor, "time 2 1"]:
        """The size of x_t and y_theta, in which slopes are alike at neighbouring times."""
        scale = self.whole[:, [XX, YY]].sqrt()
        return torch.where(scale > 0, scale, 1.0)

    def parts(self, cells: Partition) -> Iterator["_SomeCells"]:
        """Some cells at a time."""
        size, unseen = max(1, AT_ONCE // self.whole_of_others.numel()), self.unseen(cells)
        for first in range(0, cells.count, size):
            part = slice(first, min(first + size, cells.count))
            products = torch.stack([s.among(cells, part) for s in self.statistics], 1)
            of_means = torch.stack([s.of_means(cells, part) for s in self.statistics], 1)
            yield _SomeCells(products[self.used], of_means[self.used], unseen[..., part])

    def slopes(self, tried: _SlopesTried, cells: Partition) -> Float64[Tensor, "time 2 cell"]:
        """The slopes that a way of fitting makes."""
        parts = [
            ridge_slopes(part.products.mean(0), tried.ridge, self.whole, part.unseen)
            for part in self.parts(cells)
        ]
        return _smooth(tried.matrix, torch.cat(parts, -1) * self.scale) / self.scale


@dataclass(frozen=True, eq=False)
class _SomeCells:
    """What is known of some cells: products of each group, those of its means, and what is unseen."""

    products: Float64[Tensor, "group time 6 cell"]
    of_means: Float64[Tensor, "group time 6 cell"]
    unseen: Float64[Tensor, "time 2 cell"]


def _ridges(cells: Partition) -> tuple[float, ...]:
    return RIDGES if cells.count == len(cells.index) > 1 else (LEAST_RIDGE,)


def _candidates(given: _Given, cells: Partition) -> list[_SlopesTried]:
    """Every ridge and smoothing of one division into cells."""
    ways = [(ridge, matrix) for ridge in _ridges(cells) for matrix in given.matrices]
    shape = (given.groups, len(given.statistics))
    if given.groups < LEAST_GROUPS:
        unknown = torch.full(shape, -torch.inf, dtype=torch.float64)
        return [_SlopesTried(cells, ridge, matrix, unknown) for ridge, matrix in ways]
    gains = torch.zeros(len(ways), *shape, dtype=torch.float64)
    for part in given.parts(cells):
        total = part.products.sum(0)
        own = of_left_out(given.groups, part.products, part.of_means, WITH_RESIDUAL)
        others = of_others(given.groups, total, part.products, part.of_means)
        for k, ridge in enumerate(_ridges(cells)):
            fitted = _slopes_of_others(others, ridge, given.whole_of_others, part.unseen)
            for j, matrix in enumerate(given.matrices):
                slopes = _smooth(matrix, fitted * given.scale) / given.scale
                gains[k * len(given.matrices) + j] += explained_variance(slopes, own)
    return [_SlopesTried(cells, *way, gain) for way, gain in zip(ways, gains, strict=True)]


def _slopes_of_others(
    others: Float64[Tensor, "group time 6 cell"],
    ridge: float,
    whole: Float64[Tensor, "group time 6 1"],
    unseen: Float64[Tensor, "time 2 cell"],
) -> Float64[Tensor, "group time 2 cell"]:
    """The slopes that all other groups would make, for each group."""
    some = torch.arange(len(others)).split(max(1, LEFT_OUT_AT_ONCE // others[0].numel()))
    return torch.cat([ridge_slopes(others[g], ridge, whole[g], unseen) for g in some])


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


def _low_rank_candidates(given: _Given) -> Iterator[_SlopesTried]:
    """Every ridge of the slopes of low rank; none for what has no frequencies."""
    fits = [s.low_rank.gains for s in given.statistics if s.low_rank is not None]
    if not fits:
        return
    for ridge, gains in zip(RIDGES, torch.stack(fits, 2), strict=True):
        yield _SlopesTried(None, ridge, given.matrices[0], gains)


def _assemble(
    chosen: Sequence[_SlopesTried | None], given: _Given
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Offset, slopes on pixels, on cosines and of low rank, of all times."""
    shape, times = given.statistics[0].shape, len(chosen)
    d = torch.Size(shape).numel()
    pixel, cosine = (torch.zeros(times, 2, d, dtype=torch.float64) for _ in range(2))
    offset = torch.zeros(times, d, dtype=torch.float64)
    on_lowest = None
    for tried in dict.fromkeys(candidate for candidate in chosen if candidate):
        cells, here = tried.cells, [k for k, other in enumerate(chosen) if other is tried]
        fitted = None if cells is None else given.slopes(tried, cells)
        for k in here:
            of_time = given.statistics[k]
            if cells is not None and fitted is not None:
                slopes = fitted[k][:, cells.index]
                centre = (slopes * cells.coordinates(of_time.centres[:2])).sum(0)
                offset[k] = -(inverse_dct(centre, shape) if cells.cosine else centre)
                (cosine if cells.cosine else pixel)[k] = slopes
            elif of_time.low_rank is not None:
                dense = of_time.low_rank.slopes.part()
                if on_lowest is None:
                    on_lowest = torch.zeros(times, *dense.shape, dtype=torch.float64)
                on_lowest[k] = dense
                offset[k] = -(low_rank.features(shape, *of_time.centres[:2]) @ dense)
    return (
        offset.reshape(times, *shape),
        pixel.reshape(times, 2, *shape),
        cosine.reshape(times, 2, *shape) if cosine.any() else None,
        None if on_lowest is None else on_lowest.reshape(times, -1, *shape),
    )
