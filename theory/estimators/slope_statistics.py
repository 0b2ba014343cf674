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
from theory.statistics.least_squares import XX, YY, of_left_out, of_others
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
        centres: (3, d), means of x_t, y_theta and the residual, of groups alike.
        products: (G, 6, cell) about the centres, per draw, by the name of the division into cells.
        deviations: (G, 3, d), means of each group about the centres, of pixels (False) and cosines (True).
        unseen: (2,), what x_t^2 and y_theta^2 of a coordinate would have if one image more varied everywhere.
        low_rank: None for images without frequencies.
    """

    shape: tuple[int, ...]
    draws: Float64[Tensor, "group"]
    centres: Float64[Tensor, "3 d"]
    products: Mapping[str, LargeArray]
    deviations: Mapping[bool, LargeArray]
    unseen: Float64[Tensor, "2"]
    low_rank: LowRankFit | None

    @classmethod
    def of(
        cls,
        sums: AffineSums,
        used: Bool[Tensor, "group"],
        independent: float,
        *,
        in_file: bool,
    ) -> "SlopeStatistics":
        """The statistics that follow from sums.

        Args:
            sums: of the time.
            used: the groups that count.
            independent: how many independent images the sums are of.
            in_file: whether what has a number for each pixel is kept in temporary files.

        Raises:
            OSError: a file cannot be written.
        """
        of_cells: dict[str, LargeArray] = {}
        deviations: dict[bool, LargeArray] = {}
        means = sums.means()
        centres = means[used].mean(0)
        apart = means - centres
        for fine, coarse in _divisions(sums.shape):
            deviations[fine.cosine] = LargeArray(fine.coordinates(apart), in_file=in_file)
            found = sums.centred(centres, fine)
            of_cells[fine.name] = LargeArray(found, in_file=in_file)
            for cells in coarse:
                of_cells[cells.name] = LargeArray(cells.sums(found), in_file=False)
        per_image = of_cells[undivided(sums.shape).name].part()[used].mean(0)[[XX, YY], 0]
        unseen = per_image / (centres.shape[1] * independent)
        fitted = _low_rank_fit(sums, centres, apart, used, unseen, in_file=in_file)
        return cls(sums.shape, sums.draws, centres, of_cells, deviations, unseen, fitted)

    def among(self, cells: Partition, part: slice = WHOLE) -> Float64[Tensor, "group 6 cell"]:
        """The products of some cells."""
        return self.products[cells.name].part(part)

    def of_means(self, cells: Partition, part: slice = WHOLE) -> Float64[Tensor, "group 6 cell"]:
        """The products of the mean deviations of each group, of some cells."""
        fine = cells.count == len(cells.index)
        x, y, r = self.deviations[cells.cosine].part(part if fine else WHOLE).unbind(1)
        products = torch.stack([x * x, x * y, y * y, x * r, y * r, r * r], 1)
        return products if fine else cells.sums(products)[..., part]


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
    sums: AffineSums,
    centres: Tensor,
    apart: Tensor,
    used: Tensor,
    unseen: Tensor,
    *,
    in_file: bool,
) -> LowRankFit | None:
    features = sums.low_rank
    if features is None:
        return None
    unseen = unseen.repeat_interleave(len(features.patterns))
    squares, crosses = features.centred(sums.draws, sums.sums, centres)
    places = used.nonzero()[:, 0].tolist()
    n, mean = len(places), used.double() / len(places)
    square, cross = (torch.einsum("g,gij->ij", mean, p) for p in (squares, crosses))
    x, y, r = apart.unbind(1)
    f, ridges = features.features(x, y), torch.tensor(RIDGES, dtype=torch.float64)
    gains = torch.full((len(RIDGES), n), -torch.inf, dtype=torch.float64)
    for k, g in enumerate(places if n >= LEAST_GROUPS else ()):
        of_features, with_residual = torch.outer(f[g], f[g]), torch.outer(f[g], r[g])
        squares_of_others = of_others(n, n * square, squares[g], of_features)
        crosses_of_others = of_others(n, n * cross, crosses[g], with_residual)
        own_square = of_left_out(n, squares[g], of_features, torch.tensor(False))
        own_cross = of_left_out(n, crosses[g], with_residual, torch.tensor(True))
        solvers = low_rank.ridge_solvers(squares_of_others, ridges, unseen)
        gains[:, k] = low_rank.explained(solvers, crosses_of_others, own_square, own_cross)
    best = int(gains.mean(1).argmax())
    slopes = low_rank.ridge_solvers(square, ridges, unseen)[best] @ cross
    with_x, with_y = features.with_network(sums.draws, sums.sums, centres)
    return LowRankFit(
        gains, LargeArray(slopes, in_file=in_file), (slopes * with_x).sum().item(),
        (slopes * with_y).sum().item(), (slopes * (square @ slopes)).sum().item(),
    )  # fmt: skip
