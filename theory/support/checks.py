"""Checks of the tensors and numbers that a dataclass holds, made once, when it is built."""

import math
import sys
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from theory.support.errors import InputError

MOST = sys.float_info.max
"""The largest finite number."""


def require_finite(what: str, value: Any, shape: tuple[int, ...]) -> None:
    """Refuse anything but a tensor of finite float64 numbers of this shape.

    Raises:
        InputError: it is something else; ``what`` begins the message.
    """
    _require(what, value, shape)
    if not bool(value.isfinite().all()):
        raise InputError(f"{what}: expected finite numbers, got NaN or infinity")


def require_bounds(what: str, value: Any, shape: tuple[int, ...]) -> None:
    """Refuse anything but a tensor of lower bounds: float64 of this shape, finite or minus infinity.

    Raises:
        InputError: it is something else.
    """
    _require(what, value, shape)
    if not bool((value < math.inf).all()):
        raise InputError(f"{what}: expected lower bounds, got NaN or infinity")


def require_number(what: str, value: Any, least: float, most: float) -> None:
    """Refuse anything but a number from ``least`` to ``most``; either may be infinite.

    Raises:
        InputError: it is something else.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not least <= value <= most:
        raise InputError(f"{what}: expected a number from {least:g} to {most:g}, got {value!r:.60}")


def require_whole(what: str, value: Any) -> None:
    """Refuse anything but a positive whole number.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{what}: expected a positive whole number, got {value!r:.60}")


def require_kind(what: str, value: Any, kind: type) -> None:
    """Refuse anything but an object of this class.

    Raises:
        InputError: it is of another.
    """
    if not isinstance(value, kind):
        raise InputError(f"{what}: expected a {kind.__name__}, got {kind_of(value)}")


def require_at_least(what: str, value: Any, least: int) -> None:
    """Refuse anything but a whole number from ``least`` on.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise InputError(f"{what}: expected a whole number, got {value!r:.60}")
    if int(value) < least:
        raise InputError(f"{what}: expected at least {least}, got {value}")


def kind_of(value: Any) -> str:
    """The type of a value, for a message; of a tensor the type of its numbers and its shape."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    return type(value).__name__


def _require(what: str, value: Any, shape: tuple[int, ...]) -> None:
    fits = isinstance(value, Tensor) and value.dtype == torch.float64
    if not fits or tuple(value.shape) != shape:
        raise InputError(f"{what}: expected float64 {shape}, got {kind_of(value)}")
