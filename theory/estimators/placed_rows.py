"""Values at the calibrated times, kept on the device and in the dtype in which they are used.

A sampler asks for the correction of the same few times over and over. The rows that it uses are moved
once, and interpolated where the network runs.
"""

from functools import cached_property

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from theory.estimators.time_grid import Between

Where = tuple[int, torch.device, torch.dtype]


class PlacedRows:
    """A row for each of T times, and copies of those rows that have been used.

    Args:
        values: (T, *shape), float64 on the CPU; they must not change.
    """

    def __init__(self, values: Float64[Tensor, "time *shape"]) -> None:
        self.values = values
        self._copies: dict[Where, Tensor] = {}

    def row(self, k: int, like: Tensor) -> Float[Tensor, "1 *shape"]:
        """The row of a time, on the device and in the dtype of ``like``."""
        where = (k, like.device, like.dtype)
        if where not in self._copies:
            self._copies[where] = self.values[k : k + 1].to(like)
        return self._copies[where]

    def between(self, at: Between, like: Tensor) -> Float[Tensor, "k *shape"]:
        """The values at these places, linear in log-SNR, on the device and in the dtype of ``like``."""
        place = at.single
        if place is None or like.dtype.itemsize < torch.float32.itemsize:
            return at.interpolate(self.values).to(like)  # half precision rounds once, in the end
        if place.later in (0.0, 1.0):
            return self.row(place.right if place.later else place.left, like)
        return torch.lerp(self.row(place.left, like), self.row(place.right, like), place.later)

    @cached_property
    def _filled(self) -> list[bool]:
        """Whether a row has anything but zeros."""
        return [bool(row.any()) for row in self.values]

    def zero(self, at: Between) -> bool:
        """Whether all values at these places are known to be zero."""
        place = at.single
        if place is None:
            return False
        return not (self._filled[place.left] or self._filled[place.right])
