"""Coordinates of images in bands, for what treats all coordinates of a band alike."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64
from scipy.fft import dctn, idctn
from torch import Tensor

LEAST_SIDE = 4
"""An image smaller than this in height or width has no bands worth telling apart."""


@dataclass(frozen=True, eq=False)
class Bands:
    """Orthonormal coordinates of vectors (..., *shape), and the band of each.

    Attributes:
        shape: of one image.
        index: (d,), the band of each coordinate, from 0.
        frequencies: whether the coordinates are the image's cosine coefficients.
    """

    shape: tuple[int, ...]
    index: Int64[Tensor, "d"]
    frequencies: bool

    @property
    def count(self) -> int:
        """Number of bands."""
        return int(self.index.max()) + 1

    def coordinates(self, flat: Float64[Tensor, "*many d"]) -> Float64[Tensor, "*many d"]:
        """The coordinates of flattened images."""
        return self._turned(flat, dctn)

    def flat(self, coordinates: Float64[Tensor, "*many d"]) -> Float64[Tensor, "*many d"]:
        """The flattened images with these coordinates."""
        return self._turned(coordinates, idctn)

    def _turned(self, flat: Tensor, transform: Callable[..., np.ndarray]) -> Tensor:
        if not self.frequencies:
            return flat
        images = flat.reshape(*flat.shape[:-1], *self.shape).numpy()
        turned = transform(images, axes=(-2, -1), norm="ortho")
        return torch.from_numpy(np.ascontiguousarray(turned)).reshape(flat.shape)

    def energies(self, coordinates: Float64[Tensor, "*many d"]) -> Float64[Tensor, "*many band"]:
        """Squared norm in each band."""
        sums = torch.zeros(*coordinates.shape[:-1], self.count, dtype=torch.float64)
        return sums.index_add_(-1, self.index, coordinates.square())


def whole(shape: tuple[int, ...]) -> Bands:
    """One band of everything."""
    return Bands(shape, torch.zeros(math.prod(shape), dtype=torch.int64), frequencies=False)


def radial(shape: tuple[int, ...]) -> Bands | None:
    """Octaves of the radial frequency of images (c, h, w): the mean, then [1, 2), [2, 4), ...

    Frequencies are those of the orthonormal cosine transform of each channel; a band holds all
    channels. None for what is no image, or too small a one.
    """
    if len(shape) != 3 or min(shape[1:]) < LEAST_SIDE:
        return None
    vertical, horizontal = (torch.arange(n, dtype=torch.float64) for n in shape[1:])
    radius = torch.sqrt(vertical[:, None] ** 2 + horizontal**2)
    octave = torch.where(radius > 0, torch.log2(radius.clamp(min=1)).floor() + 1, 0.0).long()
    return Bands(shape, octave.expand(shape).reshape(-1).contiguous(), frequencies=True)
