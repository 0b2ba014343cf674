"""Estimates with Student confidence intervals."""

import math
from dataclasses import dataclass

import torch
from scipy.special import stdtrit
from torch import Tensor

LEVEL = 0.95
"""Confidence of every interval and lower bound, unless stated otherwise."""

FEW_IMAGES = 16
"""With fewer independent images, an asymptotic interval may be far too narrow."""


def cautions(what: str, count: int, least: int = FEW_IMAGES) -> list[str]:
    """A list with one line of caution if ``count`` is below ``least``; empty otherwise."""
    if count >= least:
        return []
    return [f"caution: {count} {what} are few; what is said of fewer than {least} is unreliable"]


@dataclass(frozen=True)
class Estimate:
    """A value with a two-sided interval, of confidence ``LEVEL`` unless another one was asked for.

    The interval is infinite if there were too few images to estimate an error.
    """

    value: float
    lower: float
    upper: float

    @classmethod
    def from_error(
        cls, value: float, standard_error: float, degrees: int, level: float = LEVEL
    ) -> "Estimate":
        """Student interval: value -+ t_{degrees, (1 + level)/2} standard_error (asymptotic)."""
        if degrees < 1 or not math.isfinite(standard_error):
            return cls(value, -math.inf, math.inf)
        half = float(stdtrit(degrees, (1 + level) / 2)) * standard_error
        return cls(value, value - half, value + half)

    @classmethod
    def of_mean(
        cls, per_image: Tensor, units: Tensor | None = None, level: float = LEVEL
    ) -> "Estimate":
        """The mean of values (n,), one per image; of independent ones unless ``units`` says else.

        Images of one unit (n,) may depend on each other: with m the mean, the squared error is
        U/(U - 1) sum_u (sum_{i in u} (x_i - m))^2 / n^2 over U units.
        """
        n = len(per_image)
        if units is not None and (count := len(units.unique())) < n:
            apart = torch.zeros(int(units.max()) + 1, dtype=per_image.dtype)
            apart.index_add_(0, units, per_image - per_image.mean())
            error = math.sqrt(count / max(1, count - 1) * apart.square().sum().item()) / n
            return cls.from_error(float(per_image.mean()), error, count - 1, level)
        error = float(torch.std(per_image)) / math.sqrt(n) if n > 1 else math.inf
        return cls.from_error(float(per_image.mean()), error, n - 1, level)
