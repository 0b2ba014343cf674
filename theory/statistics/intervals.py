"""Estimates with Student confidence intervals."""

import math
from dataclasses import dataclass

import torch
from scipy.stats import t as student
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
    """A value with a two-sided interval of confidence ``LEVEL``.

    The interval is infinite if there were too few images to estimate an error.
    """

    value: float
    lower: float
    upper: float

    @classmethod
    def from_error(cls, value: float, standard_error: float, degrees: int) -> "Estimate":
        """Student interval: value -+ t_{degrees, (1 + LEVEL)/2} standard_error (asymptotic)."""
        if degrees < 1 or not math.isfinite(standard_error):
            return cls(value, -math.inf, math.inf)
        half = float(student.ppf((1 + LEVEL) / 2, degrees)) * standard_error
        return cls(value, value - half, value + half)

    @classmethod
    def of_mean(cls, per_image: Tensor) -> "Estimate":
        """The mean of independent values (n,), one per image."""
        n = len(per_image)
        error = float(torch.std(per_image)) / math.sqrt(n) if n > 1 else math.inf
        return cls.from_error(float(per_image.mean()), error, n - 1)
