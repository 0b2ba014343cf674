"""Counterexamples are rounded to few digits, and to no other times than the schedule's."""

from dataclasses import dataclass

import pytest

from theory.diffusion.schedules import DiscreteSchedule, RectifiedFlow, VPLinear
from toy.falsifier.rounding import rounder_cases
from toy.falsifier.user_cases import Point
from toy.strategies.mixtures import Components, ReverseCase
from toy.strategies.time_pairs import TimePair

SCHEDULE = VPLinear()
PAIR = TimePair(SCHEDULE, 0.21811413539767352, 0.38958861018624513)
LAW = Components((0.123456789, 0.876543211), ((0.0,), (1.23456789,)), ((0.5,), (1.0,)), ())


@dataclass(frozen=True)
class Nested:
    """A case around another, with a number that is no place."""

    inner: ReverseCase
    factor: float
    shift: float


def first(case, schedule=SCHEDULE):
    """The case of the fewest digits."""
    return next(rounder_cases(case, schedule))


def test_times_and_places_are_rounded_and_nothing_else():
    case = Nested(ReverseCase(LAW, PAIR, 0, (0.123456,)), 0.987654321, -1.23456)
    expected = ReverseCase(LAW, TimePair(SCHEDULE, 0.2, 0.4), 0, (0.1,))
    assert first(case) == Nested(expected, 0.987654321, -1.0)
    assert first((Point(0.123, 0.456, (1.26, -3.4)), 0.77)) == (Point(0.1, 0.5, (1.0, -3.0)), 0.8)


def test_digits_grow_up_to_the_case_itself():
    cases = list(rounder_cases(PAIR, SCHEDULE))
    assert cases[0] == TimePair(SCHEDULE, 0.2, 0.4)
    assert cases[-1] == PAIR
    assert TimePair(SCHEDULE, 0.218, 0.39) in cases
    point = Point(0.111111, 0.222222, (3.11,))
    digits = [(len(f"{c.t:g}"), len(f"{c.x_t[0]:g}")) for c in rounder_cases(point, SCHEDULE)]
    assert digits[:3] == [(3, 1), (3, 3), (4, 1)]


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (TimePair(SCHEDULE, 0.41, 0.42), (0.41, 0.42)),
        (TimePair(RectifiedFlow(), 0.9, 0.96), (0.9, 0.96)),
        (TimePair(DiscreteSchedule([0.99, 0.5, 0.1]), 1.0, 2.0), (1.0, 2.0)),
    ],
)
def test_times_stay_apart_and_within_the_schedule(pair, expected):
    rounded = first(pair, pair.schedule)
    assert (rounded.s, rounded.t) == expected
    assert all(case.s < case.t for case in rounder_cases(pair, pair.schedule))


def test_a_table_has_whole_times():
    table = DiscreteSchedule([0.9**k for k in range(1, 40)])
    pair = TimePair(table, 14.0, 35.0)
    assert first(pair, table) == TimePair(table, 14.0, 35.0)
    assert first(TimePair(table, 11.0, 34.0), table) == TimePair(table, 10.0, 30.0)
    assert all(case.t == round(case.t) <= 38 for case in rounder_cases(pair, table))
