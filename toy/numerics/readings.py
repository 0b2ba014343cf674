"""A claim's error on one case, beside what the quadrature reports of its own.

The quadrature's error speaks against everybody: a claim holds where the two together are within its
tolerance, a mutant fails where their difference is beyond it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from toy.numerics.quadrature import report, reported

Case = TypeVar("Case")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Reading:
    """An error, and the sum of the relative errors of the expectations that it was worked out from."""

    deviation: float
    quadrature: float

    @property
    def most(self) -> float:
        """What the error may be."""
        return self.deviation + self.quadrature

    @property
    def least(self) -> float:
        """What it is at least."""
        return self.deviation - self.quadrature


def read(error: Callable[[Any], float], case: Any) -> Reading:
    """The error of a case, with every expectation taken on the way.

    Raises:
        UnresolvedError: one of those does not settle.
    """
    with reported() as errors:
        deviation = error(case)
    return Reading(deviation, sum(errors, 0.0))


def remembered(of: Callable[[Case], Value]) -> Callable[[Case], Value]:
    """The function with its last 4096 values kept, which report their quadrature's error each time."""

    @lru_cache(maxsize=4096)
    def kept(case: Case) -> tuple[Value, float]:
        with reported() as errors:
            value = of(case)
        return value, sum(errors, 0.0)

    def again(case: Case) -> Value:
        value, error = kept(case)
        report(error)
        return value

    return again
