"""The constant shift: an estimate of eta_t = E[y_theta] - A_t E[x_0], times a weight."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from math import isfinite
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from theory.estimators.parts import Measured, Part, PartEstimator, Prediction, Rules
from theory.estimators.placed_rows import PlacedRows
from theory.estimators.shift_selection import select_shift
from theory.estimators.time_grid import Between
from theory.statistics.smoothing import curvature
from theory.support.broadcasting import along_batch
from theory.support.checks import (
    MOST,
    kind_of,
    require_bounds,
    require_finite,
    require_number,
    require_whole,
)
from theory.support.errors import InputError
from theory.support.safe_reading import parse_json
from theory.support.stored import Contents


@dataclass(frozen=True, eq=False)
class ConstantShift(Part):
    """The shift at each of some times. Plain data; a ``Part``.

    Attributes:
        log_snr: (T,), of the times.
        shift: (T, *shape), float64: weight times estimate.
        weights: (T,), the share of the estimate that is applied.
        gains: (T,), gain to expect of the shift where it is applied, by leaving out images;
            |eta_t|^2 less this is the error that smoothing and shrinking leave.
        certificates: (T,), lower bounds of the gain E|r|^2 - E|r - shift|^2 that hold together
            (asymptotic); minus infinity where there were too few images to tell.
        smoothing: strength of the smoothing over log-SNR that left-out images liked best.
        bands: number of frequency bands that were shrunk apart.

    Raises:
        InputError: parts that do not belong together, or numbers that are not what they must be.
    """

    title = "shift"

    log_snr: Float64[Tensor, "time"]
    shift: Float64[Tensor, "time *shape"]
    weights: Float64[Tensor, "time"]
    gains: Float64[Tensor, "time"]
    certificates: Float64[Tensor, "time"]
    smoothing: float
    bands: int

    def __post_init__(self) -> None:
        shift, times = self.shift, len(self.log_snr)
        if not isinstance(shift, Tensor) or shift.dim() < 2 or not shift.numel():
            raise InputError(f"calibration: expected shift (times, *shape), got {kind_of(shift)}")
        require_finite("calibration: shift", shift, (times, *shift.shape[1:]))
        require_finite("calibration: weights", self.weights, (times,))
        require_bounds("calibration: gains", self.gains, (times,))
        require_bounds("calibration: certificates", self.certificates, (times,))
        require_number("calibration: smoothing", self.smoothing, 0.0, MOST)
        require_whole("calibration: bands", self.bands)

    def require_fit(self, times: int, shape: tuple[int, ...]) -> None:
        """Raises: InputError, the shift is of another number of times or of other images."""
        require_finite("calibration: shift", self.shift, (times, *shape))

    @property
    def applied(self) -> Bool[Tensor, "time"]:
        """At which times the shift is subtracted."""
        return self.weights > 0

    def at(self, between: Between) -> Float64[Tensor, "k *shape"]:
        """The shift at places between the times.

        It is a natural cubic spline in log-SNR where the shifts were smoothed as one, and linear
        where they were not, or where one neighbour is left alone. Outside the times it is zero.
        """
        shift = between.interpolate(self.shift)
        if self.smoothing > 0:
            later = along_batch(between.later, self.shift)
            earlier, distance = 1 - later, between.distance
            bend = torch.where(distance.isfinite(), distance**2 / 6, 0.0)
            cubic = (earlier**3 - earlier) * self._curvature[between.left]
            cubic += (later**3 - later) * self._curvature[between.right]
            shift = shift + along_batch(bend, self.shift) * cubic
        return shift * along_batch(between.known.double(), self.shift)

    @cached_property
    def _curvature(self) -> Tensor:
        order = torch.argsort(self.log_snr, descending=True)
        result = torch.empty_like(self.shift)
        result[order] = curvature(self.log_snr[order], self.shift[order])
        return result

    @cached_property
    def _rows(self) -> tuple[PlacedRows, PlacedRows]:
        """The shifts and their curvatures, where they are used."""
        return PlacedRows(self.shift), PlacedRows(self._curvature)

    def correction(self, at: Between, given: Prediction) -> Float[Tensor, "k *shape"]:
        """The shift, whatever is given, on the device and in the dtype of the prediction."""
        place, y = at.single, given.y
        if place is None or y.dtype.itemsize < torch.float32.itemsize:
            return self.at(at).to(y)  # half precision rounds once, in the end
        if not place.known:
            return torch.zeros_like(y[:1])
        shifts, curvatures = self._rows
        shift = shifts.between(at, y)
        if self.smoothing > 0 and 0 < place.later < 1 and isfinite(place.distance):
            earlier, bend = 1 - place.later, place.distance**2 / 6
            for k, share in ((place.left, earlier), (place.right, place.later)):
                shift = torch.add(shift, curvatures.row(k, y), alpha=bend * (share**3 - share))
        return shift

    def stored(self) -> Contents:
        """The shift as tensors and texts for a file."""
        tensors = {name: getattr(self, name) for name in _TENSORS}
        texts = {name: json.dumps(getattr(self, name)) for name in _NUMBERS}
        return Contents(tensors, texts)

    @classmethod
    def from_stored(cls, stored: Contents, log_snr: Float64[Tensor, "time"]) -> "ConstantShift":
        """The shift that a file holds, at times of these log-SNRs."""
        parts: dict[str, Any] = {name: stored.tensors[name] for name in _TENSORS}
        parts |= {name: parse_json(stored.texts[name]) for name in _NUMBERS}
        return cls(log_snr, **parts)


_NUMBERS = ("smoothing", "bands")
_TENSORS = tuple(f.name for f in fields(ConstantShift) if f.name not in (*_NUMBERS, "log_snr"))


@dataclass(frozen=True)
class ShiftEstimator(PartEstimator):
    """Estimates a ``ConstantShift`` from the moments of a pass."""

    def sums(self, shape: tuple[int, ...]) -> None:
        """Nothing: the moments suffice."""
        return

    def fit(
        self, measured: Measured, sums: Sequence[Any], rules: Rules, before: Sequence[Part]
    ) -> tuple[ConstantShift, Float64[Tensor, "group time"]]:
        """The shift, and its gains on each group of images, as all other groups would make it."""
        log_snr = measured.grid.log_snr
        selected = select_shift(
            measured.moments, log_snr, rules.importance, rules.policy, rules.statements
        )
        part = ConstantShift(
            log_snr=log_snr,
            shift=selected.shift,
            weights=selected.weights,
            gains=selected.gains.mean(0),
            certificates=selected.certificates,
            smoothing=selected.smoothing,
            bands=selected.bands,
        )
        return part, selected.gains


def shift_of(
    parts: Sequence[Part], like: Float64[Tensor, "time *shape"]
) -> Float64[Tensor, "time *shape"]:
    """The constant shift among these parts; zeros like the given tensor if there is none."""
    shifts = [part.shift for part in parts if isinstance(part, ConstantShift)]
    return shifts[0] if shifts else torch.zeros_like(like)
