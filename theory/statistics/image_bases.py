"""Orthonormal bases of images, pixels or DCT, and partitions of their coordinates into cells.

The coordinates of a cell are treated alike: shrunk by one weight, or given one slope.
"""

import math
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import scipy.fft
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

LEAST_SIDE = 4
"""An image smaller than this in height or width has too few frequencies to be split into bands."""


@dataclass(frozen=True, eq=False)
class Partition:
    """An orthonormal basis of flattened images (..., d), its coordinates partitioned into cells.

    Attributes:
        name: of this partition.
        shape: of one image.
        index: (d,), the cell of each coordinate, from 0.
        cosine: whether the coordinates are the DCT coefficients of each channel, not its pixels.
    """

    name: str
    shape: tuple[int, ...]
    index: Int64[Tensor, "d"]
    cosine: bool = False

    @cached_property
    def count(self) -> int:
        """Number of cells."""
        return int(self.index.max()) + 1

    @cached_property
    def sizes(self) -> Int64[Tensor, "cell"]:
        """How many coordinates are in each cell."""
        return self.index.bincount()

    def coordinates(self, flat: Float[Tensor, "*many d"]) -> Float[Tensor, "*many d"]:
        """The coordinates of flattened images."""
        return dct(flat, self.shape) if self.cosine else flat

    def flat(self, coordinates: Float[Tensor, "*many d"]) -> Float[Tensor, "*many d"]:
        """The flattened images with these coordinates."""
        return inverse_dct(coordinates, self.shape) if self.cosine else coordinates

    def sums(self, values: Float64[Tensor, "*many d"]) -> Float64[Tensor, "*many cell"]:
        """Sums over each cell of values given for each coordinate."""
        if self.count == len(self.index):
            return values
        sums = torch.zeros(*values.shape[:-1], self.count, dtype=torch.float64)
        return sums.index_add_(-1, self.index, values)

    def energies(self, coordinates: Float64[Tensor, "*many d"]) -> Float64[Tensor, "*many cell"]:
        """Squared norm in each cell."""
        return self.sums(coordinates.square())


def dct(flat: Float[Tensor, "*many d"], shape: tuple[int, ...]) -> Float[Tensor, "*many d"]:
    """Orthonormal DCT-II coefficients of each channel of flattened images of shape (c, h, w)."""
    rows, columns = (_dct_matrix(n, flat.dtype, flat.device) for n in shape[1:])
    images = flat.reshape(*flat.shape[:-1], *shape)
    return (rows @ images @ columns.T).reshape(flat.shape)


def inverse_dct(
    coefficients: Float[Tensor, "*many d"], shape: tuple[int, ...]
) -> Float[Tensor, "*many d"]:
    """Flattened images of shape (c, h, w) from their DCT coefficients: the inverse of ``dct``."""
    rows, columns = (_dct_matrix(n, coefficients.dtype, coefficients.device) for n in shape[1:])
    images = coefficients.reshape(*coefficients.shape[:-1], *shape)
    return (rows.T @ images @ columns).reshape(coefficients.shape)


@cache
def _dct_matrix(n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.from_numpy(scipy.fft.dct(np.eye(n), norm="ortho", axis=0)).to(device, dtype)


def undivided(shape: tuple[int, ...]) -> Partition:
    """One cell that holds all pixels."""
    return Partition("whole", shape, torch.zeros(math.prod(shape), dtype=torch.int64))


def by_channel(shape: tuple[int, ...]) -> Partition:
    """A cell for each channel."""
    size = math.prod(shape[1:])
    return Partition("channel", shape, torch.arange(shape[0]).repeat_interleave(size))


def by_pixel(shape: tuple[int, ...]) -> Partition:
    """A cell for each pixel of each channel."""
    return Partition("pixel", shape, torch.arange(math.prod(shape)))


def has_dct_bands(shape: tuple[int, ...]) -> bool:
    """Whether this is the shape (c, h, w) of images large enough to be split into DCT bands."""
    return len(shape) == 3 and min(shape[1:]) >= LEAST_SIDE


def by_dct_octave(shape: tuple[int, ...]) -> Partition:
    """A cell for each octave of radial DCT frequency: the mean, then [1, 2), [2, 4), ...

    A cell holds the coefficients of all channels.
    """
    vertical, horizontal = (torch.arange(n, dtype=torch.float64) for n in shape[1:])
    radius = torch.sqrt(vertical[:, None] ** 2 + horizontal**2)
    octave = torch.where(radius > 0, torch.log2(radius.clamp(min=1)).floor() + 1, 0.0).long()
    return Partition("octave", shape, octave.expand(shape).reshape(-1).contiguous(), cosine=True)


def by_dct_coefficient(shape: tuple[int, ...]) -> Partition:
    """A cell for each DCT coefficient of each channel."""
    return Partition("frequency", shape, torch.arange(math.prod(shape)), cosine=True)
