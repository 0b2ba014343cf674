"""What is told of a counterexample: the values, how far they are apart, and the mistake once."""

import math
from dataclasses import replace

import pytest

from toy.judge.evidence import Explanation

UNKNOWN = "likely mistake: none that is known, and no formula fits"
OFF = Explanation("alpha", 0.25, 2.0, 3.0)


@pytest.mark.parametrize(
    ("expected", "got", "said"),
    [
        (2.0, 3.0, "expected 2, got 3, ratio 1.5"),
        (-4.0, 1.0, "expected -4, got 1, ratio -0.25"),
        (1.0, 1.00011, "expected 1, got 1.00011, ratio 1.00011"),
        (1.0, 1.00005, "expected 1, got 1.00005, +5e-05 apart"),
        (-1.0, -1.00005, "expected -1, got -1.00005, -5e-05 apart"),
        (0.0, 3.0, "expected 0, got 3"),
        (1e-12, 3.0, "expected 1e-12, got 3"),
        (1e-8, 3.0, "expected 1e-08, got 3, ratio 3e+08"),
        (2.0, math.nan, "expected 2, got nan"),
        (math.inf, 3.0, "got 3"),
    ],
)
def test_values_are_told_with_their_ratio_or_their_difference(expected, got, said):
    lines = list(replace(OFF, expected=expected, got=got).lines())
    assert lines == [f"alpha at t = 0.25: {said}", UNKNOWN]


def test_a_mistake_or_a_place_is_told_with_the_values_and_a_known_one_by_its_claim():
    first = "alpha at t = 0.25: expected 2, got 3, ratio 1.5"
    mistaken, somewhere = replace(OFF, mistake="the sign"), replace(OFF, where="at its end")
    assert list(mistaken.lines()) == [first, "likely mistake: the sign"]
    assert list(somewhere.lines()) == [first, "where: at its end"]
    assert (mistaken.reason, somewhere.reason, OFF.reason) == ("the sign", "at its end", "")
    assert replace(mistaken, where="at its end").reason == "the sign"
    for told in (mistaken, somewhere):
        assert list(told.lines({told.reason: "decreasing"})) == ["likely mistake: as of decreasing"]
    assert list(mistaken.lines({"another": "decreasing"})) == [first, "likely mistake: the sign"]


def test_a_relation_has_no_ratio():
    below = replace(OFF, relation="less than")
    assert list(below.lines()) == ["alpha at t = 0.25: expected less than 2, got 3"]
