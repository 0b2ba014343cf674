"""What the fit of the slopes keeps of one time, once all of its images have been seen.

The products of ``AffineSums`` about their means, of every division of the coordinates into cells; and of
the slopes of low rank, which are fitted time by time, what came of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from theory.estimators import low_rank
from theory.estimators.affine_sums import AffineSums
from theory.statistics.image_bases import (
    Partition,
    by_channel,
    by_dct_coefficient,
    by_dct_octave,
    by_pixel,
    has_dct_bands,
    undivided,
)
from theory.statistics.lower_bounds import LEAST_GROUPS
from theory.support.large_arrays import WHOLE, LargeArray

RIDGES = (1e-4, 1e-3, 0.01, 0.1, 1.0)


@dataclass(frozen=True, eq=False)
class LowRankFit:
    """The slopes of low rank of one time.

    Attributes:
        gains: (ridge, G), of every ridge on each group, from all others.
        slopes: (2 rank, d), of the ridge of the largest mean gain.
        on_x, on_y, square: sums of W E f x^T, W E f y^T and W^T E f f^T W over all pixels, W the slopes.
    """

    gains: Float64[Tensor, "ridge group"]
    slopes: LargeArray
    on_x: float
    on_y: float
    square: float


@dataclass(frozen=True, eq=False)
class SlopeStatistics:
    """What is known of one time.

    Attributes:
        shape: of one image.
        draws: (G,), of each group.
        centres: (3, d), means of x_t, y_theta and the residual.
        products: (G, 6, cell) about the centres, per draw, by the name of the division into cells.
        low_rank: None for images without frequencies.
    """

    shape: tuple[int, ...]
    draws: Float64[Tensor, "group"]
    centres: Float64[Tensor, "3 d"]
    products: Mapping[str, LargeArray]
    low_rank: LowRankFit | None

    @classmethod
    def of(
        cls,
        sums: AffineSums,
        centres: Float64[Tensor, "3 d"],
        used: Bool[Tensor, "group"],
        *,
        in_file: bool,
    ) -> "SlopeStatistics":
        """The statistics that follow from sums.

        Args:
            sums: of the time.
            centres: means of x_t, y_theta and the residual.
            used: the groups that count.
            in_file: whether what has a number for each pixel is kept in temporary files.

        Raises:
            OSError: a file cannot be written.
        """
        of_cells: dict[str, LargeArray] = {}
        for fine, coarse in _divisions(sums.shape):
            found = sums.centred(centres, fine)
            of_cells[fine.name] = LargeArray(found, in_file=in_file)
            for cells in coarse:
                of_cells[cells.name] = LargeArray(cells.sums(found), in_file=False)
        fitted = _low_rank_fit(sums, centres, used, in_file=in_file)
        return cls(sums.shape, sums.draws, centres, of_cells, fitted)

    def among(self, cells: Partition, part: slice = WHOLE) -> Float64[Tensor, "group 6 cell"]:
        """The products of some cells."""
        return self.products[cells.name].part(part)


def partitions(shape: tuple[int, ...]) -> list[Partition]:
    """Every division that is tried, the undivided image first."""
    return sorted(
        (cells for fine, coarse in _divisions(shape) for cells in (*coarse, fine)),
        key=lambda cells: cells.count,
    )


def _divisions(shape: tuple[int, ...]) -> list[tuple[Partition, list[Partition]]]:
    """A division into single coordinates, and those whose products are its sums."""
    channels = [by_channel(shape)] if len(shape) == 3 and shape[0] > 1 else []
    found = [(by_pixel(shape), [undivided(shape), *channels])]
    if has_dct_bands(shape):
        found.append((by_dct_coefficient(shape), [by_dct_octave(shape)]))
    return found


def _low_rank_fit(
    sums: AffineSums, centres: Tensor, used: Tensor, *, in_file: bool
) -> LowRankFit | None:
    features = sums.low_rank
    if features is None:
        return None
    squares, crosses = features.centred(sums.draws, sums.sums, centres)
    square, cross = squares[used], crosses[used]
    n = len(square)
    gains = torch.full((len(RIDGES), n), -torch.inf, dtype=torch.float64)
    if n >= LEAST_GROUPS:
        square_of_all, cross_of_all = square.sum(0), cross.sum(0)
        for k, ridge in enumerate(RIDGES):
            for g in range(n):
                others = (square_of_all - square[g]) / (n - 1)
                slopes = low_rank.ridge_map(others, (cross_of_all - cross[g]) / (n - 1), ridge)
                gains[k, g] = low_rank.explained(slopes, square[g], cross[g])
    best = RIDGES[int(gains.mean(1).argmax())]
    slopes = low_rank.ridge_map(square.mean(0), cross.mean(0), best)
    with_x, with_y = features.with_network(sums.draws, sums.sums, centres)
    whole = torch.einsum("g,gij->ij", sums.draws / sums.draws.sum(), squares)
    return LowRankFit(
        gains, LargeArray(slopes, in_file=in_file), (slopes * with_x).sum().item(),
        (slopes * with_y).sum().item(), (slopes * (whole @ slopes)).sum().item(),
    )  # fmt: skip
