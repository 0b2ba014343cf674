"""A calibration as plain data, and a network with its calibration.

What is subtracted from a prediction y at x_t and time t is

    shift_t + a_t (x_t - E x_t) + b_t (y - E y),

the second and third term only in a calibration of order 1.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from typing import Any

import torch
from jaxtyping import Float, Float64, Int64, Real
from torch import Tensor

from theory.calibration.passes import Choice
from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import Target
from theory.estimators.class_shift import ClassShift
from theory.estimators.slopes import NONE, Slopes
from theory.forward.forward_pass import Predict
from theory.statistics.intervals import Estimate
from theory.statistics.smoothing import curvature
from theory.support.broadcasting import along_batch
from theory.support.checks import (
    kind_of,
    require_bounds,
    require_finite,
    require_number,
    require_whole,
)
from theory.support.errors import InputError

MOST = sys.float_info.max
"""The largest finite number."""

TIME_TOLERANCE = 1e-6
"""Relative room for a time that went through float32 on its way to ``Calibrated``."""

WIDEST_GAP = 2.0
"""Slopes are not interpolated between times further apart in log-SNR: their scale changes with it."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """The shift of a network's prediction at each of some times. Plain data.

    Attributes:
        schedule, target: what the network was trained for.
        times: (T,), as given to ``calibrate``.
        shift: (T, *shape), float64, subtracted from the prediction: weight times estimate.
        weights: (T,), the share of the estimate that is applied.
        eta_sq: |eta_t|^2 of the population that the images are a sample of, one per time; the value
            is unbiased, the interval asymptotic.
        eta_sq_of_set: the same of these very images; see ``Moments.squared_norm_of_set``.
        gains: (T,), gain to expect of the shift where it is applied, by leaving out images;
            |eta_t|^2 less this is the error that smoothing and shrinking leave.
        certificates: (T,), lower bounds of the gain E|r|^2 - E|r - shift|^2 that hold together
            (asymptotic); minus infinity where there were too few images to tell.
        total_certificate: lower bound of the weighted sum of the gains of what is applied: of the
            fall of the likelihood bound in nats, unless the times were given another importance.
        smoothing: strength of the smoothing over log-SNR that left-out images liked best.
        bands: number of frequency bands that were shrunk apart.
        error_energy: (T,), unbiased E|estimate_t - eta_t|^2, before shrinking.
        plain_error_energy: (T,), the same for the published plain average at as many evaluations.
        choices: estimator, images and draws at each time.
        image_ids: identities of the images that it was made from, so that no validation uses them.
        provenance: how it was made: images, seed, evaluations, and what a program adds.
        slopes: what order 1 adds; None in a calibration of order 0.
        class_shift: what each class has beyond the shared shift; None if none was asked for.
        noise_energy: (T, 2), E|e_theta|^2 / d without and with calibration; None at order 0.

    Raises:
        InputError: parts that do not belong together, or numbers that are not what they must be.
    """

    schedule: Schedule
    target: Target
    times: Real[Tensor, "time"]
    shift: Float64[Tensor, "time *shape"]
    weights: Float64[Tensor, "time"]
    certificates: Float64[Tensor, "time"]
    eta_sq: tuple[Estimate, ...]
    eta_sq_of_set: tuple[Estimate, ...]
    gains: Float64[Tensor, "time"]
    total_certificate: float
    smoothing: float
    bands: int
    error_energy: Float64[Tensor, "time"]
    plain_error_energy: Float64[Tensor, "time"]
    choices: tuple[Choice, ...]
    image_ids: Int64[Tensor, "image"]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    slopes: Slopes | None = None
    class_shift: ClassShift | None = None
    noise_energy: Float64[Tensor, "time 2"] | None = None
    _order: Tensor = field(init=False, repr=False)
    _log_snr: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._require_sound()
        order = torch.argsort(self.schedule.log_snr(self.times), descending=True)
        object.__setattr__(self, "_order", order)
        object.__setattr__(self, "_log_snr", self.schedule.log_snr(self.times[order]))

    def _require_sound(self) -> None:
        if not isinstance(self.times, Tensor):
            raise InputError(f"calibration: expected times in a tensor, got {kind_of(self.times)}")
        own = self.schedule.times(self.times)
        if own.dtype != self.times.dtype or bool(self.schedule.log_snr(own).isnan().any()):
            raise InputError(
                f"calibration: expected {kind_of(own)} times of a known log-SNR, got {kind_of(self.times)}"
            )
        times, shift = len(self.times), self.shift
        if not isinstance(shift, Tensor) or shift.dim() < 2 or not shift.numel():
            raise InputError(f"calibration: expected shift (times, *shape), got {kind_of(shift)}")
        require_finite("calibration: shift", shift, (times, *self.shape))
        for name in ("weights", "error_energy", "plain_error_energy"):
            require_finite(f"calibration: {name}", getattr(self, name), (times,))
        for name in ("gains", "certificates"):
            require_bounds(f"calibration: {name}", getattr(self, name), (times,))
        require_number("calibration: total_certificate", self.total_certificate, -inf, MOST)
        require_number("calibration: smoothing", self.smoothing, 0.0, MOST)
        require_whole("calibration: bands", self.bands)
        for name in ("eta_sq", "eta_sq_of_set"):
            _require_estimates(f"calibration: {name}", getattr(self, name), times)
        self._require_origin(times)
        self._require_more(times)

    def _require_origin(self, times: int) -> None:
        """Of what it was made: choices, images, provenance."""
        ids, choices = self.image_ids, self.choices
        if not isinstance(ids, Tensor) or ids.dim() != 1 or ids.dtype != torch.int64:
            raise InputError(f"calibration: expected image_ids int64 (images,), got {kind_of(ids)}")
        if not isinstance(choices, tuple) or len(choices) != times:
            raise InputError(f"calibration: expected {times} choices, got {choices!r:.60}")
        most = max(choice.images for choice in choices)
        if most > len(ids):
            raise InputError(f"calibration: expected {most} image_ids or more, got {len(ids)}")
        if not isinstance(self.provenance, Mapping):
            raise InputError(f"calibration: expected a provenance, got {kind_of(self.provenance)}")

    def _require_more(self, times: int) -> None:
        """Slopes and the shifts of classes are of the same times and images."""
        if (self.slopes is None) != (self.noise_energy is None):
            raise InputError("calibration: expected slopes and noise_energy, got one without other")
        if self.slopes is not None:
            require_finite("calibration: slopes", self.slopes.offset, (times, *self.shape))
            require_finite("calibration: noise_energy", self.noise_energy, (times, 2))
        if self.class_shift is not None:
            of_class = self.class_shift.shift
            expected = (times, of_class.shape[1], *self.shape)
            require_finite("calibration: class shift", of_class, expected)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return tuple(self.shift.shape[1:])

    @property
    def is_shift(self) -> bool:
        """Whether it is one constant per time and nothing else."""
        return self.slopes is None and self.class_shift is None

    def with_provenance(self, **more: Any) -> "Calibration":
        """The same calibration with more said of how it was made."""
        return replace(self, provenance={**self.provenance, **more})

    def require(
        self, schedule: Schedule, target: Target, shape: tuple[int, ...], fingerprint: str
    ) -> None:
        """Refuse any network but the one that this calibration was made for.

        Raises:
            InputError: another fingerprint, schedule, target or image shape.
        """
        expected_and_got = {
            "target": (self.target.name, target.name),
            "image shape": (self.shape, shape),
            "schedule": (repr(self.schedule), repr(schedule)),
            "network": (self.provenance.get("fingerprint"), fingerprint),
        }
        for what, (expected, got) in expected_and_got.items():
            if expected != got:
                raise InputError(
                    f"calibration: made for another {what}: expected {expected}, got {got}"
                )
        if self.schedule != schedule:
            raise InputError("calibration: made for another schedule: its table differs")

    def at(self, t: Real[Tensor, "b"]) -> Float64[Tensor, "b *shape"]:
        """The shift at times (b,) -> (b, *shape), between calibrated times by interpolation.

        It is a natural cubic spline in log-SNR where the shifts were smoothed as one, and linear
        where they were not, or where one neighbour is left alone. Before the first and after the
        last of them nothing is known, and the shift is zero.

        Raises:
            InputError: a time outside the schedule.
        """
        return self._shift(*self._neighbours(t))

    def correction(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Real[Tensor, "k"],
        y: Float[Tensor, "b *shape"],
        condition: Any = None,
    ) -> Float[Tensor, "any *shape"]:
        """All that is subtracted from predictions y at x_t and times (b,) or (1,).

        A shift of each class is part of it where the conditions are its labels (b,).

        Raises:
            InputError: a time outside the schedule.
        """
        if len(t) > 1 and bool((t == t[0]).all()):
            t = t[:1]
        left, right, weight, known = self._neighbours(t)
        result = self._shift(left, right, weight, known).to(y)
        inside = along_batch(known.to(y), y)
        if self.slopes is not None:
            near = along_batch(self._near(left, right, weight).to(y), y)
            result = result + near * inside * self.slopes.correction(
                left, right, weight, x_t.to(y), y
            )
        if self.class_shift is not None and isinstance(condition, Tensor):
            labels = condition.cpu()
            result = result + inside * self.class_shift.correction(left, right, weight, labels).to(
                y
            )
        return result

    def _near(self, left: Tensor, right: Tensor, weight: Tensor) -> Tensor:
        """Whether slopes are known there: at a calibrated time, or between two that are close."""
        log_snr = self.schedule.log_snr(self.times)
        close = (log_snr[left] - log_snr[right]).abs() <= WIDEST_GAP
        return close | (weight == 0) | (weight == 1)

    def _shift(self, left: Tensor, right: Tensor, weight: Tensor, known: Tensor) -> Tensor:
        later, inside = along_batch(weight, self.shift), along_batch(known.double(), self.shift)
        shift = torch.lerp(self.shift[left], self.shift[right], later)
        if self.smoothing > 0:
            earlier = 1 - later
            log_snr = self.schedule.log_snr(self.times)
            distance = log_snr[left] - log_snr[right]
            bend = torch.where(distance.isfinite(), distance**2 / 6, 0.0)
            cubic = (earlier**3 - earlier) * self._curvature[left]
            cubic += (later**3 - later) * self._curvature[right]
            shift = shift + along_batch(bend, self.shift) * cubic
        return shift * inside

    @cached_property
    def _curvature(self) -> Tensor:
        result = torch.empty_like(self.shift)
        result[self._order] = curvature(self._log_snr, self.shift[self._order])
        return result

    def noise_energy_at(self, t: Real[Tensor, "b"]) -> Float64[Tensor, "b 2"]:
        """E|e_theta|^2 / d without and with calibration, linear in log-SNR between the times.

        Before the first and after the last it is taken to stay as it is there.

        Raises:
            InputError: a calibration of order 0, or a time outside the schedule.
        """
        if self.noise_energy is None:
            raise InputError("calibration: expected one of order 1, which measures noise energies")
        left, right, weight, _ = self._neighbours(t)
        return torch.lerp(self.noise_energy[left], self.noise_energy[right], weight[:, None])

    def certified_gain(self, t: Real[Tensor, "b"]) -> Float64[Tensor, "b"]:
        """Lower bound of the gain at calibrated times; between two, the smaller of theirs.

        It is that of all parts which are applied, the sum of their bounds, as these hold together.
        Zero where nothing is applied.

        Raises:
            InputError: a time outside the schedule.
        """
        left, right, weight, known = self._neighbours(t)
        applied = self._applied_certificates()
        at_right = torch.where(weight > 0, applied[right], applied[left])
        at_left = torch.where(weight < 1, applied[left], applied[right])
        return torch.where(known, torch.minimum(at_left, at_right), 0.0)

    def _applied_certificates(self) -> Float64[Tensor, "time"]:
        """Of each part where it is applied, added up."""
        total = torch.where(self.weights > 0, self.certificates, 0.0)
        if self.slopes is not None:
            sloped = torch.tensor([kind != NONE for kind in self.slopes.kinds])
            total = total + torch.where(sloped, self.slopes.certificates, 0.0)
        if self.class_shift is not None:
            differing = self.class_shift.shift.flatten(1).any(1)
            total = total + torch.where(differing, self.class_shift.certificates, 0.0)
        return total

    def _neighbours(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Indices of the calibrated times around t, the weight of the later, and whether there are."""
        t = t.detach().cpu()
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
        grid, log_snr = self._log_snr, self.schedule.log_snr(t.clamp(start, end))
        right = torch.searchsorted(-grid, -log_snr).clamp(max=len(grid) - 1)
        left = (right - 1).clamp(min=0)
        weight = (log_snr - grid[left]) / (grid[right] - grid[left])
        no_distance = (
            log_snr == grid[right]
        ) | weight.isnan()  # NaN: the left one lies at infinity
        weight = torch.where(no_distance, 1.0, weight)
        return self._order[left], self._order[right], weight, known


def _require_estimates(what: str, estimates: tuple[Estimate, ...], times: int) -> None:
    if not isinstance(estimates, tuple) or len(estimates) != times:
        raise InputError(f"{what}: expected {times} estimates, got {estimates!r:.60}")
    for estimate in estimates:
        require_number(what, estimate.value, -MOST, MOST)
        require_number(what, estimate.lower, -inf, inf)
        require_number(what, estimate.upper, -inf, inf)


class Calibrated:
    """A network with its calibration: called exactly as ``predict(x_t, t, condition=None)``.

    Raises:
        InputError: when called with images of another shape, or times outside the schedule.
    """

    def __init__(self, predict: Predict, calibration: Calibration) -> None:
        self.predict = predict
        self.calibration = calibration

    def __call__(
        self, x_t: Float[Tensor, "b *shape"], t: Real[Tensor, "*time"], condition: Any = None
    ) -> Float[Tensor, "b *shape"]:
        if tuple(x_t.shape[1:]) != self.calibration.shape:
            raise InputError(
                f"calibration: expected images of shape {self.calibration.shape}, "
                f"got {tuple(x_t.shape[1:])}"
            )
        y = self.predict(x_t, t) if condition is None else self.predict(x_t, t, condition)
        return y - self.calibration.correction(x_t, t.reshape(-1), y, condition)

    def certified_gain(self, t: Real[Tensor, "b"]) -> Float64[Tensor, "b"]:
        """Lower bound of what the calibration takes off the squared error at these times."""
        return self.calibration.certified_gain(t)

    @property
    def total_certificate(self) -> float:
        """Lower bound of what it takes off the likelihood bound, or what it was made for."""
        return self.calibration.total_certificate
