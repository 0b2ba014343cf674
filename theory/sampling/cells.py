"""Ways to share numbers among the coordinates of an image, and least squares on such cells."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
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
    weights: Float64[Tensor, "k cell"]

    def apply(self, features: list[Float[Tensor, "b *shape"]]) -> Float[Tensor, "b *shape"]:
        """Their weighted sum, in the coordinates of the partition; missing features count as zero."""
        first = features[0]
        total = None
        for weight, feature in zip(self.weights, features, strict=False):
            own = weight[self.cells.index].to(feature)
            part = own * self.cells.coordinates(feature.flatten(1))
            total = part if total is None else total + part
        if total is None:
            return torch.zeros_like(first)
        return self.cells.flat(total).reshape(first.shape)
