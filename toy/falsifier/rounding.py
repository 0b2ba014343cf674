"""Counterexamples of few digits: times and points are rounded as long as the claim still fails."""

import itertools
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

from theory.diffusion.schedules import Schedule
from toy.falsifier.sweeps import is_time
from toy.falsifier.user_cases import is_case

DIGITS = 17
TIMES = ("s", "t")
PLACES = ("x_t", "offset", "shift")
"""What is rounded of a case, and of the cases in it; also a number beside a case."""


def rounder_cases(case: Any, schedule: Schedule) -> Iterator[Any]:
    """The case with fewer digits in its times and its place, those of the fewest digits first."""
    digits = range(1, DIGITS + 1)
    for of_time, of_place in sorted(itertools.product(digits, digits), key=sum):
        rounder = _rounded(case, of_time, of_place)
        if _fits(rounder, case, schedule):
            yield rounder


def _rounded(value: Any, of_time: int, of_place: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_rounded(item, of_time, of_place) for item in value)
    if isinstance(value, float):
        return float(f"{value:.{of_place}g}")
    changes: dict[str, Any] = {}
    for name in (f.name for f in fields(value) if f.init):
        part = getattr(value, name)
        if name in TIMES and isinstance(part, float):
            changes[name] = float(f"{part:.{of_time}g}")
        elif (name in PLACES and isinstance(part, float | tuple)) or is_case(part):
            changes[name] = _rounded(part, of_time, of_place)
    return replace(value, **changes)


def _fits(rounder: Any, case: Any, schedule: Schedule) -> bool:
    """Whether the rounded times are times of the schedule, and in the order of the case's own."""
    new, old = list(_times(rounder)), list(_times(case))
    in_order = all(
        (a < b) == (c < d)
        for (a, b), (c, d) in zip(itertools.pairwise(new), itertools.pairwise(old), strict=True)
    )
    return in_order and all(is_time(schedule, t) for t in new)


def _times(value: Any) -> Iterator[float]:
    for item in value if isinstance(value, tuple) else (value,):
        for f in fields(item) if is_case(item) else ():
            part = getattr(item, f.name, None)
            if f.name in TIMES and isinstance(part, float):
                yield part
            elif is_case(part):
                yield from _times(part)
