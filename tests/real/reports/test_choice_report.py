"""What a report of a choice says: what was chosen, and both distances that decided."""

import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from real.calibrated.candidates import MEANING, NOTHING
from real.quality.choice import Choice, Distances, Fall
from real.reports.choice import choice_report, draw_tried
from real.reports.inline import DRAWN, PANEL_SIZE
from real.reports.origin import Origin
from theory.calibration.verdict import UNDECIDED, USE

TRIED = {
    "nothing": [Distances(8.0, 80.0), Distances(6.0, 60.0)],
    "early": [Distances(9.0, 70.0)],
    "best": [Distances(4.0, 40.0), Distances(2.0, 20.0)],
}
KERNEL, FRECHET = Fall.of([5.0, 6.0, 7.0], [2.0, 3.5, 4.0]), Fall.of([50.0, 60.0], [10.0, 15.0])


def report(chosen, kernel=KERNEL, samples=100, width=64):
    choice = Choice(chosen, "best", TRIED, kernel, FRECHET)
    return choice_report(
        choice, "way {}".format, "FID", width=width, solver="ddim at 4 evaluations",
        settings={"seed": 3, "samples": samples}, fingerprint="fingerprint", origin=Origin("command"),
    )  # fmt: skip


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


def test_a_kernel_distance_below_zero_is_explained():
    below = Fall.of([0.5, 0.6, 0.7], [-0.2, 0.1, -0.3])
    said = [line for line in report("best", kernel=below).summary if "below zero" in line]
    assert len(said) == 1 and said[0].startswith("the estimate of the kernel distance is unbiased")
    above = Fall.of([0.5, 0.6, 0.7], [0.2, 0.1, 0.3])
    assert not any("below zero" in line for line in report("best", kernel=above).summary)


@pytest.mark.parametrize(
    ("samples", "width", "least"), [(64, 64, 65), (65, 64, None), (15, 2, 16), (16, 2, None)]
)
def test_few_samples_come_with_the_caution_of_quality(samples, width, least):
    said = [
        line for line in report("best", samples=samples, width=width).summary if "caution" in line
    ]
    caution = (
        f"caution: {samples} samples are few; what is said of fewer than {least} is unreliable"
    )
    assert said == ([caution] if least else [])


def test_no_header_has_brackets_within_brackets():
    (table,) = report("best").sections[0].tables
    assert table.columns[-4:] == (
        "kernel distance",
        "kernel distance of nothing",
        "FID",
        "FID of nothing",
    )


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
            "Chosen: nothing, as the best of the others is not certainly better: best (way best). "
            "The file holds ddim at 4 evaluations with nothing fitted to it.",
            UNDECIDED,
        ),
    ],
)
def test_what_was_chosen_is_said(chosen, sentence, advice):
    verdict = report(chosen).verdict
    assert (verdict.sentence, verdict.advice) == (sentence, advice)
    assert report(chosen).numbers["chosen"] == chosen


def test_the_picture_has_room_for_its_longest_label():
    trials = [Distances(8.0, 80.0)]
    choice = Choice(NOTHING, NOTHING, dict.fromkeys(MEANING, trials), KERNEL, FRECHET)
    with matplotlib.rc_context(DRAWN):
        figure = Figure(figsize=PANEL_SIZE)
        ax = figure.subplots()
        draw_tried(ax, choice, "Frechet distance (trained features)")
        FigureCanvasAgg(figure).draw()
        label, page = ax.xaxis.label.get_window_extent(), figure.bbox
    assert page.x0 <= label.x0 < label.x1 <= page.x1 and page.y0 <= label.y0
