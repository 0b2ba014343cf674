"""The slopes of a calibration of order 1: what is subtracted in proportion to x_t and y_theta.

    correction = shift_t + a_t (x_t - E x_t) + b_t (y_theta - E y_theta)

a_t and b_t are numbers per cell: of the whole, of a channel, of a band of frequencies, of a pixel
or of a cosine coefficient. Scaling the noise prediction by one number is the special case a = 0, b
the same everywhere (Ning et al. 2023).
"""

import json
import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from theory.estimators import low_rank
from theory.estimators.low_rank import patterns
from theory.estimators.parts import Part, Prediction
from theory.estimators.placed_rows import PlacedRows
from theory.estimators.time_grid import Between
from theory.statistics.image_bases import dct, inverse_dct
from theory.support.broadcasting import along_batch
from theory.support.checks import require_bounds, require_finite
from theory.support.errors import InputError
from theory.support.safe_reading import parse_json
from theory.support.stored import Contents

WIDEST_GAP = 2.0
"""Slopes are not interpolated between times further apart in log-SNR: their scale changes with it."""

NONE = "none"
"""The kind of a time without slopes."""

ON_COSINES = ("octave", "frequency")
KINDS = (NONE, "whole", "channel", "pixel", *ON_COSINES, low_rank.NAME)
"""What slopes may be shared by: the names of ``theory.statistics.image_bases``, and those of low rank."""


@dataclass(frozen=True, eq=False)
class Slopes(Part):
    """Slopes at each of some times. Plain data; a ``Part``.

    Attributes:
        offset: (T, *shape), what makes their mean zero.
        pixel: (T, 2, *shape), on x_t and y_theta, pixel by pixel.
        cosine: the same on cosine coefficients; None where no time has any.
        kinds: what the slopes of each time are shared by; "none" where there are none.
        gains: (T,), fall of the squared error to expect of them, by leaving out images.
        certificates: (T,), lower bounds of it, which hold together with those of all other parts.
        low_rank: (T, 2 rank, *shape), from the lowest frequencies of x_t and y_theta to every pixel;
            None where no time has any.
        noise_energy: (T, 2), E|e_theta|^2 / d without and with the whole calibration; None where
            it was not measured.

    Raises:
        InputError: parts that do not belong together, or numbers that are not finite.
    """

    title = "slopes"

    offset: Float64[Tensor, "time *shape"]
    pixel: Float64[Tensor, "time 2 *shape"]
    cosine: Float64[Tensor, "time 2 *shape"] | None
    kinds: tuple[str, ...]
    gains: Float64[Tensor, "time"]
    certificates: Float64[Tensor, "time"]
    low_rank: Float64[Tensor, "time feature *shape"] | None = None
    noise_energy: Float64[Tensor, "time 2"] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.kinds, tuple) or not self.kinds:
            raise InputError(f"slopes: expected the kind of each time, got {self.kinds!r:.60}")
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown:
            raise InputError(
                f"slopes: expected kinds among {', '.join(KINDS)}, got {unknown[0]!r:.60}"
            )
        times, shape = len(self.kinds), tuple(getattr(self.offset, "shape", ()))[1:]
        self._require_tensors(times, shape)
        needed = {"cosine": ON_COSINES, "low_rank": (low_rank.NAME,)}
        for part, kinds in needed.items():
            if getattr(self, part) is None and set(kinds) & set(self.kinds):
                raise InputError(f"slopes: expected {part}, as kinds name it, got none")

    def _require_tensors(self, times: int, shape: tuple[int, ...]) -> None:
        require_finite("slopes: offset", self.offset, (times, *shape))
        require_finite("slopes: pixel", self.pixel, (times, 2, *shape))
        require_bounds("slopes: gains", self.gains, (times,))
        require_bounds("slopes: certificates", self.certificates, (times,))
        if (self.cosine is not None or self.low_rank is not None) and len(shape) != 3:
            raise InputError(f"slopes: expected images (c, h, w) for frequencies, got {shape}")
        if self.cosine is not None:
            require_finite("slopes: cosine", self.cosine, (times, 2, *shape))
        if self.low_rank is not None:
            features = 2 * min(low_rank.RANK, math.prod(shape))
            require_finite("slopes: low_rank", self.low_rank, (times, features, *shape))
        if self.noise_energy is not None:
            require_finite("calibration: noise_energy", self.noise_energy, (times, 2))

    def require_fit(self, times: int, shape: tuple[int, ...]) -> None:
        """Raises: InputError, the slopes are of another number of times or of other images."""
        require_finite("calibration: slopes", self.offset, (times, *shape))

    @property
    def applied(self) -> Bool[Tensor, "time"]:
        """At which times there are slopes."""
        return torch.tensor([kind != NONE for kind in self.kinds])

    @cached_property
    def _rows(self) -> dict[str, PlacedRows]:
        """The tensors of each time that there are, where they are used."""
        found = {name: getattr(self, name) for name in ("offset", "pixel", "cosine", "low_rank")}
        return {name: PlacedRows(values) for name, values in found.items() if values is not None}

    def correction(self, at: Between, given: Prediction) -> Float[Tensor, "any *shape"]:
        """What is affine in x_t and y, whatever the condition is.

        Zero outside the times, and between times further apart than ``WIDEST_GAP``.
        """
        y, x_t, shape = given.y, given.x_t.to(given.y), tuple(given.y.shape[1:])
        rows = {name: values for name, values in self._rows.items() if not values.zero(at)}
        near = at.within(WIDEST_GAP) & at.known
        if not rows or not near.any():
            return torch.zeros_like(y[:1])
        correction = rows["offset"].between(at, y) if "offset" in rows else torch.zeros_like(y[:1])
        if "pixel" in rows:
            a, b = rows["pixel"].between(at, y).unbind(1)
            correction = correction + a * x_t + b * y
        if "cosine" in rows:
            a, b = rows["cosine"].between(at, y).flatten(2).unbind(1)
            spectrum = a * dct(x_t.flatten(1), shape) + b * dct(y.flatten(1), shape)
            correction = correction + inverse_dct(spectrum, shape).reshape(y.shape)
        if "low_rank" in rows:
            lowest = _patterns(shape, y.dtype, y.device)
            features = torch.cat([x_t.flatten(1) @ lowest, y.flatten(1) @ lowest], 1)
            dense = (features[:, None] @ rows["low_rank"].between(at, y).flatten(2))[:, 0]
            correction = correction + dense.reshape(y.shape)
        return correction if near.all() else along_batch(near.to(y), y) * correction

    def stored(self) -> Contents:
        """The slopes as tensors and texts for a file."""
        found = {name: getattr(self, part) for part, name in _STORED.items()}
        tensors = {name: tensor for name, tensor in found.items() if tensor is not None}
        return Contents(tensors, {"kinds": json.dumps(self.kinds)})

    @classmethod
    def from_stored(cls, stored: Contents, log_snr: Float64[Tensor, "time"]) -> "Slopes | None":
        """The slopes that a file holds; None if it holds none."""
        if "kinds" not in stored.texts and not set(_STORED.values()) & set(stored.tensors):
            return None
        optional = {"cosine", "low_rank"}
        tensors: dict[str, Any] = {
            part: stored.tensors.get(name) if part in optional else stored.tensors[name]
            for part, name in _STORED.items()
        }
        return cls(kinds=tuple(parse_json(stored.texts["kinds"])), **tensors)


@cache
def _patterns(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """The cosine patterns that slopes of low rank look at, (d, rank)."""
    return patterns(shape).to(device, dtype).T


_STORED = {
    "offset": "slope_offset", "pixel": "slope_pixel", "cosine": "slope_cosine",
    "gains": "slope_gains", "certificates": "slope_certificates", "low_rank": "slope_low_rank",
    "noise_energy": "noise_energy",
}  # fmt: skip
"""Names of the tensors in a file."""
