"""The slopes of a calibration of order 1: what is subtracted in proportion to x_t and y_theta.

    correction = shift_t + a_t (x_t - E x_t) + b_t (y_theta - E y_theta)

a_t and b_t are numbers per cell: of the whole, of a channel, of a band of frequencies, of a pixel
or of a cosine coefficient. Scaling the noise prediction by one number is the special case a = 0, b
the same everywhere (Ning et al. 2023).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from theory.estimators import low_rank
from theory.estimators.low_rank import patterns
from theory.statistics.image_bases import dct, inverse_dct
from theory.support.broadcasting import along_batch
from theory.support.checks import require_bounds, require_finite
from theory.support.errors import InputError

NONE = "none"
"""The kind of a time without slopes."""

ON_COSINES = ("octave", "frequency")
KINDS = (NONE, "whole", "channel", "pixel", *ON_COSINES, low_rank.NAME)
"""What slopes may be shared by: the names of ``theory.statistics.image_bases``, and those of low rank."""


@dataclass(frozen=True, eq=False)
class Slopes:
    """Slopes at each of some times. Plain data.

    Attributes:
        offset: (T, *shape), what makes their mean zero.
        pixel: (T, 2, *shape), on x_t and y_theta, pixel by pixel.
        cosine: the same on cosine coefficients; None where no time has any.
        kinds: what the slopes of each time are shared by; "none" where there are none.
        gains: (T,), fall of the squared error to expect of them, by leaving out images.
        certificates: (T,), lower bounds of it, which hold together with those of the shift.
        low_rank: (T, 2 rank, *shape), from the lowest frequencies of x_t and y_theta to every pixel;
            None where no time has any.

    Raises:
        InputError: parts that do not belong together, or numbers that are not finite.
    """

    offset: Float64[Tensor, "time *shape"]
    pixel: Float64[Tensor, "time 2 *shape"]
    cosine: Float64[Tensor, "time 2 *shape"] | None
    kinds: tuple[str, ...]
    gains: Float64[Tensor, "time"]
    certificates: Float64[Tensor, "time"]
    low_rank: Float64[Tensor, "time feature *shape"] | None = None

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

    def correction(
        self,
        left: Int64[Tensor, "k"],
        right: Int64[Tensor, "k"],
        later: Float64[Tensor, "k"],
        x_t: Float[Tensor, "b *shape"],
        y: Float[Tensor, "b *shape"],
    ) -> Float[Tensor, "b *shape"]:
        """Their part of the correction, (1 - later) of the left time and later of the right.

        The times are one for each image, or one for all.
        """

        def between(values: Tensor) -> Tensor:
            weight = along_batch(later, values)
            return torch.lerp(values[left], values[right], weight).to(y)

        a, b = between(self.pixel).unbind(1)
        correction = between(self.offset) + a * x_t + b * y
        shape = tuple(y.shape[1:])
        if self.cosine is not None:
            a, b = between(self.cosine).flatten(2).unbind(1)
            spectrum = a * dct(x_t.flatten(1), shape) + b * dct(y.flatten(1), shape)
            correction = correction + inverse_dct(spectrum, shape).reshape(y.shape)
        if self.low_rank is not None:
            lowest = patterns(shape).to(y).T
            features = torch.cat([x_t.flatten(1) @ lowest, y.flatten(1) @ lowest], 1)
            dense = (features[:, None] @ between(self.low_rank).flatten(2))[:, 0]
            correction = correction + dense.reshape(y.shape)
        return correction
