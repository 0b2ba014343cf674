"""Differences relative to what they are differences of."""

from torch import Tensor

TINY = 1e-300
"""Least scale: relative to less, nothing is in error."""


def relative_error(difference: Tensor, scale: Tensor) -> float:
    """max|difference| / max(scale)."""
    return (difference.abs().max() / scale.max().clamp(min=TINY)).item()


def elementwise_error(difference: Tensor, scale: Tensor) -> float:
    """max_i |difference_i| / scale_i."""
    return (difference.abs() / scale.clamp(min=TINY)).max().item()


def error_of_sides(left: float, right: float) -> float:
    """|left - right| relative to 1 + |left| + |right|."""
    return abs(left - right) / (1 + abs(left) + abs(right))
