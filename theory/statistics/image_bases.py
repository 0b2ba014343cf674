"""Cells: the coordinates of an image, and which of them are treated alike."""

import math
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from scipy.fft import dct
from torch import Tensor

LEAST_SIDE = 4
"""An image smaller than this in height or width has no frequencies worth telling apart."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Orthonormal coordinates of flattened images (..., d), and the cell of each.

    Attributes:
        name: of this way of dividing them.
        shape: of one image.
        index: (d,), the cell of each coordinate, from 0.
        cosine: whether the coordinates are the cosine coefficients of each channel, not its pixels.
    """

    name: str
    shape: tuple[int, ...]
    index: Int64[Tensor, "d"]
    cosine: bool = False

    @cached_property
    def count(self) -> int:
        """Number of cells."""
        return int(self.index.max()) + 1

    def coordinates(self, flat: Float[Tensor, "*many d"]) -> Float[Tensor, "*many d"]:
        """The coordinates of flattened images."""
        return cosines(flat, self.shape) if self.cosine else flat

    def flat(self, coordinates: Float[Tensor, "*many d"]) -> Float[Tensor, "*many d"]:
        """The flattened images with these coordinates."""
        return from_cosines(coordinates, self.shape) if self.cosine else coordinates

    def sums(self, values: Float64[Tensor, "*many d"]) -> Float64[Tensor, "*many cell"]:
        """Sums of values, one per coordinate, over each cell."""
        if self.count == len(self.index):
            return values
        sums = torch.zeros(*values.shape[:-1], self.count, dtype=torch.float64)
        return sums.index_add_(-1, self.index, values)

    def energies(self, coordinates: Float64[Tensor, "*many d"]) -> Float64[Tensor, "*many cell"]:
        """Squared norm in each cell."""
        return self.sums(coordinates.square())


def cosines(flat: Float[Tensor, "*many d"], shape: tuple[int, ...]) -> Float[Tensor, "*many d"]:
    """Orthonormal cosine coefficients (type II) of each channel of flattened images (c, h, w)."""
    rows, columns = (_cosine_matrix(n).to(flat) for n in shape[1:])
    images = flat.reshape(*flat.shape[:-1], *shape)
    return (rows @ images @ columns.T).reshape(flat.shape)


def from_cosines(
    coefficients: Float[Tensor, "*many d"], shape: tuple[int, ...]
) -> Float[Tensor, "*many d"]:
    """The inverse of ``cosines``."""
    rows, columns = (_cosine_matrix(n).to(coefficients) for n in shape[1:])
    images = coefficients.reshape(*coefficients.shape[:-1], *shape)
    return (rows.T @ images @ columns).reshape(coefficients.shape)


@cache
def _cosine_matrix(n: int) -> Tensor:
    return torch.from_numpy(dct(np.eye(n), norm="ortho", axis=0))


def whole(shape: tuple[int, ...]) -> Cells:
    """One cell of everything."""
    return Cells("whole", shape, torch.zeros(math.prod(shape), dtype=torch.int64))


def channels(shape: tuple[int, ...]) -> Cells:
    """A cell for each channel."""
    size = math.prod(shape[1:])
    return Cells("channel", shape, torch.arange(shape[0]).repeat_interleave(size))


def pixels(shape: tuple[int, ...]) -> Cells:
    """A cell for each pixel of each channel."""
    return Cells("pixel", shape, torch.arange(math.prod(shape)))


def has_frequencies(shape: tuple[int, ...]) -> bool:
    """Whether it is that of an image (c, h, w) with frequencies worth telling apart."""
    return len(shape) == 3 and min(shape[1:]) >= LEAST_SIDE


def octaves(shape: tuple[int, ...]) -> Cells:
    """Octaves of the radial frequency of images (c, h, w): the mean, then [1, 2), [2, 4), ...

    A cell holds all channels.
    """
    vertical, horizontal = (torch.arange(n, dtype=torch.float64) for n in shape[1:])
    radius = torch.sqrt(vertical[:, None] ** 2 + horizontal**2)
    octave = torch.where(radius > 0, torch.log2(radius.clamp(min=1)).floor() + 1, 0.0).long()
    return Cells("octave", shape, octave.expand(shape).reshape(-1).contiguous(), cosine=True)


def frequencies(shape: tuple[int, ...]) -> Cells:
    """A cell for each cosine coefficient of each channel."""
    return Cells("frequency", shape, torch.arange(math.prod(shape)), cosine=True)
