"""Ways to share numbers among the coordinates of an image, and least squares on such cells."""

from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from theory.statistics.image_bases import (
    Partition,
    by_channel,
    by_dct_coefficient,
    by_dct_octave,
    by_pixel,
    has_dct_bands,
    undivided,
)
from theory.support.errors import InputError

KINDS = {
    "whole": undivided,
    "channel": by_channel,
    "pixel": by_pixel,
    "octave": by_dct_octave,
    "frequency": by_dct_coefficient,
}
"""The partitions by name."""


def partition(name: str, shape: tuple[int, ...]) -> Partition:
    """The partition of that name.

    Raises:
        InputError: there is none for images of this shape.
    """
    if name not in kinds_for(shape):
        raise InputError(
            f"fitted solver: expected one of {', '.join(kinds_for(shape))} for {shape}, got {name!r:.60}"
        )
    return KINDS[name](shape)


def kinds_for(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Names of the partitions that images of this shape have."""
    names = ["whole", "pixel"]
    if len(shape) == 3 and shape[0] > 1:
        names.insert(1, "channel")
    if has_dct_bands(shape):
        names += ["octave", "frequency"]
    return tuple(names)


@dataclass(frozen=True, eq=False)
class CellWeights:
    """Weights of some features (b, *shape), one of each cell of a partition.

    Attributes:
        cells: the partition.
        weights: (k, cell), of each feature.
    """

    cells: Partition
    weights: Float[Tensor, "k cell"]

    def to(self, like: Tensor) -> "CellWeights":
        """The same where a tensor is, in its dtype."""
        return CellWeights(self.cells, self.weights.to(like))

    @cached_property
    def of_coordinates(self) -> Float[Tensor, "k d"]:
        """The weights of every coordinate."""
        return self.weights[:, self.cells.index.to(self.weights.device)]

    def apply(self, features: list[Float[Tensor, "b *shape"]]) -> Float[Tensor, "b *shape"]:
        """Their weighted sum, in the coordinates of the partition; missing features count as zero."""
        total: Tensor | None = None
        for own, feature in zip(self.of_coordinates, features, strict=False):
            part = own * self.cells.coordinates(feature.flatten(1))
            total = part if total is None else total + part
        if total is None:
            raise InputError("fitted solver: expected weights of a feature at least, got none")
        return self.cells.flat(total).reshape(features[0].shape)
