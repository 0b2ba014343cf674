"""What a report of a choice says: what was chosen, and both distances that decided."""

import pytest

from real.quality.choice import Choice, Distances, Fall
from real.reports.choice import choice_report
from real.reports.origin import Origin
from theory.calibration.verdict import UNDECIDED, USE

TRIED = {
    "nothing": [Distances(8.0, 80.0), Distances(6.0, 60.0)],
    "early": [Distances(9.0, 70.0)],
    "best": [Distances(4.0, 40.0), Distances(2.0, 20.0)],
}
KERNEL, FRECHET = Fall.of([5.0, 6.0, 7.0], [2.0, 3.5, 4.0]), Fall.of([50.0, 60.0], [10.0, 15.0])


def report(chosen):
    choice = Choice(chosen, "best", TRIED, KERNEL, FRECHET)
    return choice_report(
        choice, "way {}".format, "FID", {"seed": 3}, "fingerprint", Origin("command")
    )


def test_each_distance_is_under_its_name():
    numbers = report("best").numbers
    assert (numbers["chosen"], numbers["best"]) == ("best", "best")
    for name, fall in (("kernel", KERNEL), ("frechet", FRECHET)):
        assert numbers[name] == {part: vars(value) for part, value in vars(fall).items()}
    assert numbers["tried"]["early"] == [{"kernel": 9.0, "frechet": 70.0}]


def test_lines_say_before_after_and_the_least_fall():
    kernel, frechet = report("best").summary
    assert f"6 -> 3.167, a fall of 2.8 (at least {KERNEL.fall.lower:.2g}, 95 %)" in kernel
    assert kernel.startswith("kernel distance, noise and images that had no part in choosing")
    assert frechet.startswith("FID") and "55 -> 12.5, a fall of 42" in frechet


def test_each_way_stands_beside_nothing_on_its_own_trials():
    (table,) = report("best").sections[0].tables
    assert [list(row) for row in table.rows] == [
        ["nothing", "way nothing", "2", "7", "7", "70", "70"],
        ["early", "way early", "1", "9", "8", "70", "80"],
        ["best", "way best", "2", "3", "7", "30", "70"],
    ]


@pytest.mark.parametrize(
    ("chosen", "sentence", "advice"),
    [
        (
            "best",
            "Chosen: best (way best); its samples are certainly nearer to real images; use it.",
            USE,
        ),
        (
            "nothing",
            "Chosen: nothing, as the best of the others is not certainly better: best (way best).",
            UNDECIDED,
        ),
    ],
)
def test_what_was_chosen_is_said(chosen, sentence, advice):
    verdict = report(chosen).verdict
    assert (verdict.sentence, verdict.advice) == (sentence, advice)
    assert report(chosen).numbers["chosen"] == chosen
