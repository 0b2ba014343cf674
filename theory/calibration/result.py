"""A calibration as plain data: what is subtracted from a prediction, and what is known of it.

What is subtracted from a prediction y at x_t and time t is a sum of parts,

    shift_t + a_t (x_t - E x_t) + b_t (y - E y) + shift_t(class),

the second and third term only in a calibration of order 1, the last where one was asked for.
"""

import html
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from math import inf, prod
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Float64, Int64, Real
from torch import Tensor

from theory.calibration.description import description_warning
from theory.calibration.exact_certificate import ExactCertificate
from theory.calibration.passes import Choice
from theory.diffusion import targets
from theory.diffusion.data_range import DataRange
from theory.diffusion.schedules import Schedule, from_description, require_storable
from theory.diffusion.targets import Target
from theory.estimators.class_shift import ClassShift
from theory.estimators.constant_shift import ConstantShift
from theory.estimators.line_check import LineComparison, as_tensor, from_tensor
from theory.estimators.parts import Part, Prediction
from theory.estimators.slopes import Slopes
from theory.estimators.time_grid import TimeGrid
from theory.statistics.intervals import Estimate
from theory.support import stored
from theory.support.checks import MOST, kind_of, require_finite, require_kind, require_number
from theory.support.errors import InputError
from theory.support.safe_reading import parse_json
from theory.support.stored import Contents

FORMAT = "diffusion-martingale calibration 2"

KINDS: tuple[type[Part], ...] = (ConstantShift, Slopes, ClassShift)
"""The kinds of part that a file may hold."""

ASYMPTOTIC, EXACT = "asymptotic", "exact"
"""Kinds of certificates: for many images, and for every number of them."""

Kind = TypeVar("Kind")


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """What is subtracted from a network's prediction at each of some times. Plain data.

    Attributes:
        schedule, target: what the network was trained for.
        times: (T,), as given to ``calibrate``.
        parts: what is subtracted, the constant shift first.
        total_certificate: lower bound of the weighted sum of the gains of what is applied: of the
            fall of the likelihood bound in nats, unless the times were given another importance.
        eta_sq: |eta_t|^2 of the population that the images are a sample of, one per time; the value
            is unbiased, the interval asymptotic.
        eta_sq_of_set: the same of these very images; see ``Moments.squared_norm_of_set``.
        error_energy: (T,), unbiased E|estimate_t - eta_t|^2, before shrinking.
        plain_error_energy: (T,), the same for the published plain average at as many evaluations.
        choices: estimator, images and draws at each time.
        image_ids: identities of the images that it was made from, so that no validation uses them.
        provenance: how it was made: images, seed, evaluations, and what a program adds.
        line_check: the network's errors beside those of the best line in x_t, one per time; empty in
            a calibration of an older version.
        mean_image: of the images that it was made from; None in one of an older version.
        exact: bounds that hold for every number of images, of which ``total_certificate`` is then one
            too, and what predictions are held to for it; None where certificates are asymptotic.
        doubts: what else speaks against the description of the network, such as another under which it
            predicts better.

    Raises:
        InputError: parts that do not belong together, or numbers that are not what they must be.
    """

    schedule: Schedule
    target: Target
    times: Real[Tensor, "time"]
    parts: tuple[Part, ...]
    total_certificate: float
    eta_sq: tuple[Estimate, ...]
    eta_sq_of_set: tuple[Estimate, ...]
    error_energy: Float64[Tensor, "time"]
    plain_error_energy: Float64[Tensor, "time"]
    choices: tuple[Choice, ...]
    image_ids: Int64[Tensor, "image"]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    line_check: tuple[LineComparison, ...] = ()
    mean_image: Float64[Tensor, "*shape"] | None = None
    doubts: tuple[str, ...] = ()
    exact: ExactCertificate | None = None

    def __post_init__(self) -> None:
        times = _require_times(self.schedule, self.times)
        if not self.parts or not isinstance(self.parts[0], ConstantShift):
            raise InputError("calibration: expected a constant shift as its first part")
        for part in self.parts:
            part.require_fit(times, self.shape)
        for name in ("error_energy", "plain_error_energy"):
            require_finite(f"calibration: {name}", getattr(self, name), (times,))
        require_number("calibration: total_certificate", self.total_certificate, -inf, MOST)
        for name in ("eta_sq", "eta_sq_of_set"):
            _require_estimates(f"calibration: {name}", getattr(self, name), times)
        self._require_origin(times)
        if self.mean_image is not None:
            require_finite("calibration: mean_image", self.mean_image, self.shape)
        if self.exact is not None:
            self.exact.require_fit(times, self.shape)
        if self.line_check and len(self.line_check) != times:
            raise InputError(
                f"calibration: expected {times} line checks, got {len(self.line_check)}"
            )

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
        if not isinstance(self.doubts, tuple) or not all(isinstance(d, str) for d in self.doubts):
            raise InputError(f"calibration: expected doubts as texts, got {self.doubts!r:.60}")

    @cached_property
    def grid(self) -> TimeGrid:
        """The times, as places on the schedule."""
        return TimeGrid(self.schedule, self.times)

    @property
    def constant(self) -> ConstantShift:
        """The first part."""
        (constant,) = _of_kind(self.parts[:1], ConstantShift)
        return constant

    @property
    def slopes(self) -> Slopes | None:
        """What order 1 adds; None in a calibration of order 0."""
        return next(_of_kind(self.parts, Slopes), None)

    @property
    def class_shift(self) -> ClassShift | None:
        """What each class has beyond the shared shift; None if none was asked for."""
        return next(_of_kind(self.parts, ClassShift), None)

    @property
    def shift(self) -> Float64[Tensor, "time *shape"]:
        """The constant shift, (T, *shape): weight times estimate."""
        return self.constant.shift

    @property
    def weights(self) -> Float64[Tensor, "time"]:
        """The share of the estimate that the constant shift applies, (T,)."""
        return torch.where(self.applied(self.constant), self.constant.weights, 0.0)

    @property
    def gains(self) -> Float64[Tensor, "time"]:
        """Gain to expect of the constant shift where it is applied, (T,)."""
        return self.constant.gains

    @property
    def certificates(self) -> Float64[Tensor, "time"]:
        """Lower bounds of the gain of the constant shift, (T,)."""
        return self.constant.certificates

    @property
    def smoothing(self) -> float:
        """Strength of the smoothing of the constant shift over log-SNR."""
        return self.constant.smoothing

    @property
    def bands(self) -> int:
        """Number of frequency bands in which the constant shift was shrunk apart."""
        return self.constant.bands

    @property
    def noise_energy(self) -> Float64[Tensor, "time 2"] | None:
        """E|e_theta|^2 / d without and with calibration, (T, 2).

        None at order 0, and where predictions are clipped, as it is that of predictions that are not.
        """
        return None if self.slopes is None or self.exact else self.slopes.noise_energy

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return tuple(self.shift.shape[1:])

    def applied(self, part: Part) -> Bool[Tensor, "time"]:
        """At which times a part of it is subtracted, as far as the exact certificate lets it be."""
        return part.applied if self.exact is None else part.applied & self.exact.applied

    @property
    def certainty(self) -> str:
        """Of what kind its certificates are: "exact" or "asymptotic"."""
        return ASYMPTOTIC if self.exact is None else EXACT

    def warning(self) -> str | None:
        """One line if the network does not fit its description; None if it does or is not known."""
        return description_warning(
            self.grid, self.target, self.line_check, self.eta_sq, prod(self.shape), self.doubts
        )

    def with_provenance(self, **more: Any) -> "Calibration":
        """The same calibration with more said of how it was made."""
        return replace(self, provenance={**self.provenance, **more})

    def shift_alone(self) -> "Calibration":
        """The same calibration with nothing but its constant shift, of which nothing exact is known."""
        if len(self.parts) == 1:
            return self
        exact = self.exact and ExactCertificate.unjudged(self.exact.data_range, self.exact.limits)
        return replace(self, parts=self.parts[:1], exact=exact)

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
        """The constant shift at times (b,), interpolated in log-SNR; zero outside its times.

        Raises:
            InputError: a time outside the schedule.
        """
        return self.constant.at(self.grid.around(t))

    def correction(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Real[Tensor, "k"],
        y: Float[Tensor, "b *shape"],
        condition: Any = None,
    ) -> Float[Tensor, "any *shape"]:
        """All that is subtracted from predictions y at x_t and times (b,) or (1,): the sum of the parts.

        A shift of each class is part of it where the conditions are its labels (b,). Under an exact
        certificate predictions are clipped to the range of the data, before and after.

        Raises:
            InputError: a time outside the schedule.
        """
        if len(t) > 1 and (t.stride(0) == 0 or bool((t == t[0]).all())):
            t = t[:1]
        at = self.grid.around(t)

        def step(y: Tensor) -> Tensor:
            """The sum of the parts, given these predictions."""
            given = Prediction(x_t, y, condition)
            first, *others = (part.correction(at, given) for part in self.parts)
            return sum(others, start=first)

        if self.exact is None:
            return step(y)
        clip = partial(self._clipped, self.exact.data_range, x_t, t)
        return self.exact.correction(y, step, clip, at)

    def clipping(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Real[Tensor, "k"],
        y: Float[Tensor, "b *shape"],
        condition: Any = None,
    ) -> Float[Tensor, "b *shape"]:
        """What clipping alone subtracts from predictions y; zero without an exact certificate."""
        return y - (y if self.exact is None else self._clipped(self.exact.data_range, x_t, t, y))

    def _clipped(self, data_range: DataRange, x_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return data_range.clip(y, x_t, t, self.target, self.schedule)

    def noise_energy_at(self, t: Real[Tensor, "b"]) -> Float64[Tensor, "b 2"]:
        """E|e_theta|^2 / d without and with calibration, linear in log-SNR between the times.

        Before the first and after the last it is taken to stay as it is there.

        Raises:
            InputError: a calibration of order 0, or a time outside the schedule.
        """
        if self.noise_energy is None:
            raise InputError(
                "calibration: expected one of order 1 without an exact certificate, which measures "
                "noise energies"
            )
        return self.grid.around(t).interpolate(self.noise_energy)

    def certified_gain(self, t: Real[Tensor, "b"]) -> Float64[Tensor, "b"]:
        """Lower bound of the gain at calibrated times; zero at every other time.

        It is that of all parts which are applied, the sum of their bounds, as these hold together.
        Between calibrated times a shift is interpolated and nothing is certified: a network may be
        right there and wrong on both sides. Zero where nothing is applied.

        Raises:
            InputError: a time outside the schedule.
        """
        at = self.grid.around(t)
        total = self.exact.bounds if self.exact else self._sum_of_certificates()
        here = torch.where(at.later > 0, total[at.right], total[at.left])
        return torch.where(at.known & ((at.later == 0) | (at.later == 1)), here, 0.0)

    def _sum_of_certificates(self) -> Float64[Tensor, "time"]:
        bounds = [torch.where(part.applied, part.certificates, 0.0) for part in self.parts]
        return torch.stack(bounds).sum(0)

    def save(self, path: Path | str) -> None:
        """Write the calibration as safetensors with JSON texts; the file appears whole or not at all.

        Raises:
            InputError: the file cannot be written, or the schedule is the user's own class.
        """
        require_storable(self.schedule)
        own = Contents(
            {
                "times": self.times,
                "eta_sq": _rows(self.eta_sq),
                "eta_sq_of_set": _rows(self.eta_sq_of_set),
                "error_energy": self.error_energy,
                "plain_error_energy": self.plain_error_energy,
                "image_ids": self.image_ids,
            },
            {
                "schedule": json.dumps(self.schedule.describe()),
                "target": self.target.name,
                "total_certificate": json.dumps(self.total_certificate),
                "choices": json.dumps([asdict(choice) for choice in self.choices]),
                "provenance": json.dumps(dict(self.provenance)),
                **({"doubts": json.dumps(self.doubts)} if self.doubts else {}),
            },
        )
        if self.line_check:
            own |= Contents({"line_check": as_tensor(self.line_check)})
        if self.mean_image is not None:
            own |= Contents({"mean_image": self.mean_image})
        for part in self.parts:
            own |= part.stored()
        if self.exact is not None:
            own |= self.exact.stored()
        stored.write(stored.as_path("calibration", path), own, FORMAT)

    @classmethod
    def load(cls, path: Path | str) -> "Calibration":
        """Read a calibration that ``save`` wrote; nothing in the file is run.

        Raises:
            InputError: there is no such file, or it is no calibration, or a damaged one.
        """
        with stored.reading(stored.as_path("calibration", path), "calibration", FORMAT) as found:
            tensors, texts = found.tensors, found.texts
            schedule = from_description(parse_json(texts["schedule"]))
            _require_times(schedule, tensors["times"])
            log_snr = TimeGrid(schedule, tensors["times"]).log_snr
            parts = [kind.from_stored(found, log_snr) for kind in KINDS]
            return cls(
                schedule=schedule,
                target=targets.named(texts["target"]),
                times=tensors["times"],
                parts=tuple(part for part in parts if part is not None),
                total_certificate=parse_json(texts["total_certificate"]),
                eta_sq=_estimates(tensors["eta_sq"]),
                eta_sq_of_set=_estimates(tensors["eta_sq_of_set"]),
                error_energy=tensors["error_energy"],
                plain_error_energy=tensors["plain_error_energy"],
                choices=tuple(Choice(**choice) for choice in parse_json(texts["choices"])),
                image_ids=tensors["image_ids"],
                provenance=parse_json(texts["provenance"]),
                mean_image=tensors.get("mean_image"),
                doubts=tuple(parse_json(texts["doubts"]) if "doubts" in texts else ()),
                line_check=from_tensor(tensors["line_check"]) if "line_check" in tensors else (),
                exact=ExactCertificate.from_stored(found),
            )

    def summary(self) -> dict[str, str]:
        """What it is, in a few words under a few headings."""
        times, made = len(self.times), self.provenance
        images = made.get("images", len(self.image_ids))
        evaluations = made.get("evaluations", sum(choice.evaluations for choice in self.choices))
        return {
            "network": str(made.get("checkpoint", made.get("fingerprint", "not named"))),
            "predicts": f"{self.target.name}, images {self.shape}",
            "schedule": repr(self.schedule),
            "made from": f"{images} images, {evaluations:,} network evaluations",
            **{
                part.title: f"applied at {int(self.applied(part).sum())} of {times} times"
                for part in self.parts
            },
            "certified": self._certified(),
            **({"warning": text} if (text := self.warning()) else {}),
        }

    def _certified(self) -> str:
        if not self.total_certificate > 0:
            return f"no gain in all (95 %, {self.certainty})"
        return f"a gain of at least {self.total_certificate:.4g} in all (95 %, {self.certainty})"

    def __repr__(self) -> str:
        rows = (f"  {name}: {text}" for name, text in self.summary().items())
        return "\n".join([f"Calibration at {len(self.times)} times", *rows])

    def _repr_html_(self) -> str:
        rows = (
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
            for name, text in self.summary().items()
        )
        return f"<table><caption>Calibration</caption>{''.join(rows)}</table>"


def as_calibration(given: Any) -> Calibration:
    """A calibration, or the one in a file.

    Raises:
        InputError: neither, or a file that ``Calibration.load`` refuses.
    """
    if isinstance(given, Path | str):
        return Calibration.load(given)
    require_kind("calibration", given, Calibration)
    return given


def _of_kind(parts: Iterable[Part], kind: type[Kind]) -> Iterator[Kind]:
    return (part for part in parts if isinstance(part, kind))


def _require_times(schedule: Schedule, times: Any) -> int:
    """How many times there are, if they are the schedule's own and their log-SNR is known."""
    if not isinstance(times, Tensor):
        raise InputError(f"calibration: expected times in a tensor, got {kind_of(times)}")
    own = schedule.times(times)
    if own.dtype != times.dtype or bool(schedule.log_snr(own).isnan().any()):
        raise InputError(
            f"calibration: expected {kind_of(own)} times of a known log-SNR, got {kind_of(times)}"
        )
    return len(times)


def _require_estimates(what: str, estimates: tuple[Estimate, ...], times: int) -> None:
    if not isinstance(estimates, tuple) or len(estimates) != times:
        raise InputError(f"{what}: expected {times} estimates, got {estimates!r:.60}")
    for estimate in estimates:
        require_number(what, estimate.value, -MOST, MOST)
        require_number(what, estimate.lower, -inf, inf)
        require_number(what, estimate.upper, -inf, inf)


def _rows(estimates: tuple[Estimate, ...]) -> Float64[Tensor, "time 3"]:
    rows = [[e.value, e.lower, e.upper] for e in estimates]
    return torch.tensor(rows, dtype=torch.float64)


def _estimates(rows: Tensor) -> tuple[Estimate, ...]:
    if rows.dtype != torch.float64:
        raise InputError(f"calibration: expected estimates in float64, got {rows.dtype}")
    return tuple(Estimate(*row) for row in rows.tolist())
