"""A claim's error on one case, beside the error that the quadrature reports of itself.

The quadrature's error counts against both sides: a claim holds where the sum of the two is within its
tolerance, and a mutant fails where their difference is beyond it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

Value = TypeVar("Value")

_listeners: list[list[float]] = []


class UnresolvedError(ArithmeticError):
    """The quadrature could not reach its tolerance; no verdict can be based on it."""


@contextmanager
def reported() -> Iterator[list[float]]:
    """The relative errors that are reported within the block, and not outside it.

    Each is that of an expectation, relative to E|h| or the size that the caller gave.
    """
    errors: list[float] = []
    _listeners.append(errors)
    try:
        yield errors
    finally:
        _listeners.pop()


def report(error: float) -> None:
    """Add an error to the innermost block of ``reported``, if there is one."""
    if _listeners:
        _listeners[-1].append(error)


@dataclass(frozen=True)
class MeasuredError:
    """An error, and the sum of the relative errors of the expectations that it was computed from."""

    deviation: float
    quadrature: float

    @property
    def most(self) -> float:
        """The largest that the error may be."""
        return self.deviation + self.quadrature

    @property
    def least(self) -> float:
        """The smallest that the error may be."""
        return self.deviation - self.quadrature


def measure_error(error: Callable[[Any], float], case: Any) -> MeasuredError:
    """The error of a case, with that of every expectation taken on the way.

    Raises:
        UnresolvedError: an expectation does not settle.
    """
    with reported() as errors:
        deviation = error(case)
    return MeasuredError(deviation, sum(errors, 0.0))


def remembered(of: Callable[..., Value]) -> Callable[..., Value]:
    """The function with its last 4096 values kept; each use reports its quadrature's error again."""

    @lru_cache(maxsize=4096)
    def kept(*arguments: Any) -> tuple[Value, float]:
        """The value, and the error that was reported on the way."""
        with reported() as errors:
            value = of(*arguments)
        return value, sum(errors, 0.0)

    def value_of(*arguments: Any) -> Value:
        """The value, whose error is reported."""
        value, error = kept(*arguments)
        report(error)
        return value

    return value_of
