"""Differences relative to what they are differences of."""

import math
from collections.abc import Iterable

from torch import Tensor

TINY = 1e-300
"""Least scale: relative to less, nothing is in error."""


def largest(errors: Iterable[float | Tensor]) -> float:
    """The largest of some errors; NaN if one of them is NaN, which Python's ``max`` may lose."""
    found = [float(error) for error in errors]
    return math.nan if any(map(math.isnan, found)) else max(found)


def relative_error(difference: Tensor, scale: Tensor) -> float:
    """max|difference| / max(scale)."""
    return (difference.abs().max() / scale.max().clamp(min=TINY)).item()


def elementwise_error(difference: Tensor, scale: Tensor) -> float:
    """max_i |difference_i| / scale_i."""
    return (difference.abs() / scale.clamp(min=TINY)).max().item()


def error_of_sides(left: float, right: float) -> float:
    """|left - right| relative to 1 + |left| + |right|."""
    return abs(left - right) / (1 + abs(left) + abs(right))
