"""Where a time lies among the calibrated ones: its neighbours in log-SNR, and how near they are."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float64, Int64, Real
from torch import Tensor

from theory.diffusion.schedules import Schedule
from theory.support.broadcasting import along_batch
from theory.support.errors import InputError

TIME_TOLERANCE = 1e-6
"""Relative room for a time that went through float32 on its way to a calibrated network."""


MOST_PLACES = 4096
"""Places that are remembered; a sampler asks for the same times again and again."""


class Place(NamedTuple):
    """One place between calibrated times, as plain numbers; see ``Between``."""

    left: int
    right: int
    later: float
    known: bool
    distance: float


@dataclass(frozen=True)
class Between:
    """Places between calibrated times.

    Attributes:
        left, right: (k,), indices of the calibrated times on either side.
        later: (k,), how far the place is from the left to the right one, linear in log-SNR.
        known: (k,), whether it is neither before the first nor after the last calibrated time.
        distance: (k,), log-SNR of the left less that of the right one.
    """

    left: Int64[Tensor, "k"]
    right: Int64[Tensor, "k"]
    later: Float64[Tensor, "k"]
    known: Bool[Tensor, "k"]
    distance: Float64[Tensor, "k"]

    @cached_property
    def single(self) -> Place | None:
        """The place, if it is one alone."""
        if len(self.left) != 1:
            return None
        return Place(
            int(self.left),
            int(self.right),
            float(self.later),
            bool(self.known),
            float(self.distance),
        )

    def interpolate(self, values: Float64[Tensor, "time *any"]) -> Float64[Tensor, "k *any"]:
        """Values given at the calibrated times, linearly in log-SNR."""
        return torch.lerp(values[self.left], values[self.right], along_batch(self.later, values))

    def within(self, gap: float) -> Bool[Tensor, "k"]:
        """Where the place is a calibrated time, or lies between two at most so far apart."""
        return (self.distance.abs() <= gap) | (self.later == 0) | (self.later == 1)


@dataclass(frozen=True, eq=False)
class TimeGrid:
    """The calibrated times (T,) of a schedule, in any order."""

    schedule: Schedule
    times: Real[Tensor, "time"]

    @cached_property
    def log_snr(self) -> Float64[Tensor, "time"]:
        """Log-SNR of the times."""
        return self.schedule.log_snr(self.times)

    @cached_property
    def order(self) -> Int64[Tensor, "time"]:
        """Indices of the times in the order of falling log-SNR."""
        return torch.argsort(self.log_snr, descending=True)

    @cached_property
    def gaps(self) -> Float64[Tensor, "gap"]:
        """Distances in log-SNR of neighbouring times."""
        return -self.log_snr[self.order].diff()

    @property
    def widest_gap(self) -> float:
        """The largest of them; infinite for a single time."""
        return max(self.gaps.tolist(), default=math.inf)

    @cached_property
    def _remembered(self) -> dict[float, Between]:
        """Places of single times."""
        return {}

    def around(self, t: Real[Tensor, "k"]) -> Between:
        """Where the times t lie among the calibrated ones.

        Raises:
            InputError: a time outside the schedule.
        """
        t = t.detach().cpu()
        if len(t) != 1:
            return self._around(t)
        places, key = self._remembered, t.item()
        if key not in places:
            if len(places) >= MOST_PLACES:
                places.clear()
            places[key] = self._around(t)
        return places[key]

    def _around(self, t: Real[Tensor, "k"]) -> Between:
        first, last = self.schedule.t_min, self.schedule.t_max
        room = TIME_TOLERANCE * max(abs(first), abs(last))
        outside = t[~((t >= first - room) & (t <= last + room))]
        if len(outside):
            raise InputError(
                f"time outside the schedule: expected {first:g} <= t <= {last:g}, "
                f"got {outside[0].item():g}"
            )
        t = t.double().clamp(first, last)
        start, end = self.times.min().item(), self.times.max().item()
        known = (t >= start - room) & (t <= end + room)
        grid, log_snr = self.log_snr[self.order], self.schedule.log_snr(t.clamp(start, end))
        right = torch.searchsorted(-grid, -log_snr).clamp(max=len(grid) - 1)
        left = (right - 1).clamp(min=0)
        later = (log_snr - grid[left]) / (grid[right] - grid[left])
        at_right = (log_snr == grid[right]) | later.isnan()  # NaN: the left one lies at infinity
        later = torch.where(at_right, 1.0, later)
        return Between(self.order[left], self.order[right], later, known, grid[left] - grid[right])
