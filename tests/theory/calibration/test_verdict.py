"""The sentence on a calibration: helps, harms, not certain, nothing, or not what it is said to be."""

from math import inf

import pytest

from theory.calibration.verdict import DO_NOT, UNDECIDED, USE, verdict_on
from theory.statistics.intervals import Estimate

FALLS, RISES, OPEN = Estimate(0.2, 0.1, 0.3), Estimate(-0.2, -0.3, -0.1), Estimate(0.1, -0.1, 0.3)


def verdict(fall=FALLS, per_time=(FALLS, OPEN), applied=2, units=100, warning=None, widest_gap=0.5):
    return verdict_on(fall, per_time, applied, units, warning, widest_gap)


def test_what_is_certain_to_help_is_to_be_used():
    found = verdict()
    assert found.advice == USE
    assert found.sentence == (
        "Calibration helps: the likelihood bound falls by 0.2 nats (95 %: 0.1 to 0.3); at no time is the "
        "loss certainly higher; use it."
    )


@pytest.mark.parametrize(("worse", "said"), [(1, "1 time of 3"), (2, "2 times of 3")])
def test_times_that_got_worse_are_said(worse, said):
    found = verdict(per_time=(RISES,) * worse + (FALLS,) * (3 - worse))
    assert found.advice == UNDECIDED and said in found.sentence and "but" in found.sentence


def test_what_harms_is_not_to_be_used():
    found = verdict(fall=RISES)
    assert found.advice == DO_NOT
    assert "rises by 0.2 nats (95 %: 0.1 to 0.3)" in found.sentence


@pytest.mark.parametrize("fall", [OPEN, Estimate(0.1, 0.0, 0.2), Estimate(0.1, -inf, inf)])
def test_what_is_not_certain_is_said_to_be_so(fall):
    found = verdict(fall=fall)
    assert found.advice == UNDECIDED and "not certain" in found.sentence


def test_nothing_applied_changes_nothing():
    found = verdict(applied=0)
    assert found.advice == UNDECIDED and "changes nothing" in found.sentence


def test_times_too_far_apart_say_nothing_of_the_bound():
    found = verdict(per_time=(FALLS, FALLS, OPEN, RISES), widest_gap=3.1)
    assert found.advice == UNDECIDED
    assert found.sentence.startswith("The loss is certainly lower at 2 of 4 times and higher at 1.")
    assert "calibrate at more times" in found.sentence
    assert verdict(widest_gap=3.0).advice == USE
    harms = verdict(per_time=(RISES, OPEN), widest_gap=3.1)
    assert (
        harms.advice == DO_NOT and "lower at 0 of 2 times and higher at 1; do not" in harms.sentence
    )
    assert "1 of 1 time " in verdict(per_time=(FALLS,), widest_gap=inf).sentence


def test_few_images_say_nothing():
    assert "15 independent images" in verdict(units=15).sentence
    assert verdict(units=16).advice == USE


def test_a_network_that_is_not_what_it_is_said_to_be_comes_first():
    for more in ({}, {"fall": RISES}, {"applied": 0}, {"units": 3}):
        found = verdict(warning="a line does better", **more)
        assert found.advice == DO_NOT and found.sentence.startswith("Do not use it yet")
        assert "a line does better" in found.sentence
