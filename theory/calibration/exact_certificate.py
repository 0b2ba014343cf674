"""A certificate that holds for every number of images, as plain data."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from math import inf

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from theory.diffusion.data_range import DataRange
from theory.estimators.placed_rows import PlacedRows
from theory.estimators.time_grid import Between
from theory.support.broadcasting import along_batch
from theory.support.checks import require_bounds, require_finite
from theory.support.errors import InputError
from theory.support.safe_reading import parse_json
from theory.support.stored import Contents

Clip = Callable[[Tensor], Tensor]
"""From predictions at some x_t and times to the same with x_0 clipped."""


@dataclass(frozen=True, eq=False)
class ExactCertificate:
    """Lower bounds, valid for every n, of what a calibration gains beyond clipping to the data's range.

    Attributes:
        data_range: what predictions of x_0 are clipped to, before the correction and after it.
        limits: (T, *shape), the largest correction of each coordinate, in the network's target.
        bounds: (T,), of the gain of all parts; they hold together with that of the whole.

    Nothing is certain where ``bounds`` are minus infinity, as before any image has judged.
    """

    data_range: DataRange
    limits: Float64[Tensor, "time *shape"]
    bounds: Float64[Tensor, "time"]

    @classmethod
    def unjudged(
        cls, data_range: DataRange, limits: Float64[Tensor, "time *shape"]
    ) -> "ExactCertificate":
        """A range and limits for which nothing is certain yet."""
        nothing = torch.full((len(limits),), -inf, dtype=torch.float64)
        return cls(data_range, limits, nothing)

    def require_fit(self, times: int, shape: tuple[int, ...]) -> None:
        """Raises: InputError, numbers that are not what they must be for such a calibration."""
        require_finite("calibration: exact limits", self.limits, (times, *shape))
        require_bounds("calibration: exact bounds", self.bounds, (times,))
        if bool((self.limits < 0).any()):
            raise InputError("calibration: expected exact limits of at least 0")

    @cached_property
    def _limits(self) -> PlacedRows:
        """The limits, where they are used."""
        return PlacedRows(self.limits)

    def correction(
        self,
        y: Float[Tensor, "b *shape"],
        step: Callable[[Tensor], Tensor],
        clip: Clip,
        at: Between,
    ) -> Float[Tensor, "b *shape"]:
        """What is subtracted from y: step(y), within the limits, of a prediction clipped before and after.

        Args:
            y: predictions.
            step: from clipped predictions to what the parts subtract.
            clip: to the range, at the x_t and times of y.
            at: the places of these times among the calibrated ones.
        """
        inside, most = clip(y), self._limits.between(at, y)
        return y - clip(inside - torch.clamp(step(inside), -most, most))

    def largest_gains(self, scale: Float64[Tensor, "time"]) -> Float64[Tensor, "time"]:
        """What no image's |gain| beyond clipping exceeds, at every time.

        For u, v and x_0 in a range of width R with |u - v| <= m <= R,

            |(u - x_0)^2 - (v - x_0)^2| = |u - v| |u + v - 2 x_0| <= m (2 R - m).

        Args:
            scale: how much larger a step of x_0 is in the network's target.
        """
        width = self.data_range.width
        steps = (self.limits.flatten(1) / scale[:, None]).clamp(max=width)
        return (steps * (2 * width - steps)).sum(1) * scale**2

    @property
    def applied(self) -> Bool[Tensor, "time"]:
        """At which times more than clipping is done."""
        return self.limits.flatten(1).any(1)

    def where_certain(self) -> "ExactCertificate":
        """The same with nothing subtracted at times whose gain has no positive bound."""
        certain = self.bounds > 0
        limits = self.limits * along_batch(certain.double(), self.limits)
        return ExactCertificate(self.data_range, limits, torch.where(certain, self.bounds, 0.0))

    def stored(self) -> Contents:
        """The certificate as tensors and texts for a file."""
        tensors = {"exact_limits": self.limits, "exact_bounds": self.bounds}
        return Contents(tensors, {"data_range": json.dumps(asdict(self.data_range))})

    @classmethod
    def from_stored(cls, stored: Contents) -> "ExactCertificate | None":
        """The certificate that a file holds; None if it holds none."""
        if "data_range" not in stored.texts:
            return None
        data_range = DataRange(**parse_json(stored.texts["data_range"]))
        return cls(data_range, stored.tensors["exact_limits"], stored.tensors["exact_bounds"])
