"""Strategies for numbers between bounds. They are kept, as Hypothesis checks each new one."""

from functools import cache
from typing import Any

from hypothesis import strategies as st


@cache
def number(low: float, high: float) -> st.SearchStrategy[float]:
    """A number from low to high that is zero or has all of its digits."""
    return st.floats(low, high, allow_subnormal=False)


@cache
def number_tuple(low: float, high: float, *shape: int) -> st.SearchStrategy[Any]:
    """Nested tuples of such numbers: ``shape[0]`` tuples of ``shape[1]`` tuples, and so on."""
    if not shape:
        return number(low, high)
    return st.tuples(*[number_tuple(low, high, *shape[1:])] * shape[0])


def within(*bounds: tuple[float, float]) -> tuple[st.SearchStrategy[float], ...]:
    """A number between each pair of bounds."""
    return tuple(number(*ends) for ends in bounds)
