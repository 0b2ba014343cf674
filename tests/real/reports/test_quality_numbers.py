"""What a report of samples says: distances before and after, which way they changed, and how surely."""

from itertools import zip_longest

import pytest
import torch

from real.quality.features import PIXELS
from real.quality.measure import QualityPlan, Reference, Sampler
from real.reports.elements import BAD, GOOD, PLAIN
from real.reports.quality import (
    PAIR,
    _pair,
    _table,
    distance_lines,
    distance_section,
    distances,
    quality_verdict,
)
from real.reports.quality_figure import draw_change, draw_measure
from tests.real.exact import exact_checkpoint
from theory.calibration.verdict import DO_NOT, UNDECIDED, USE

SEEDS = (3, 4, 5)


def row(network, seed, frechet, kid, tint):
    return {
        "network": network, "nfe": 5, "seed": seed, "frechet": frechet, "kid": kid, "tint": tint,
    }  # fmt: skip


def found():
    """Frechet distances fall by 2, 2 and 3; kernel distances rise by 1; the colour may be as it was."""
    checkpoint = exact_checkpoint("vp")
    samplers = {
        "before": Sampler(checkpoint.predict, "ddim"),
        "after": Sampler(checkpoint.predict, "unipc"),
    }
    plan = QualityPlan(checkpoint, samplers, (5,), SEEDS, 30, 6, "cpu")
    reference = Reference(PIXELS, torch.zeros(40, 2), torch.zeros(2), "cpu")
    rows = [
        row(network, seed, frechet, kid, tint)
        for k, seed in enumerate(SEEDS)
        for network, frechet, kid, tint in (
            ("before", (9.0, 8.0, 10.0)[k], 1.0, 0.5), ("after", (7.0, 6.0, 7.0)[k], 2.0, (0.4, 0.6, 0.5)[k])
        )
    ]  # fmt: skip
    return distances(plan, reference, rows) | {"real_images": {"frechet": 0.25}}


def test_each_number_is_under_its_name():
    numbers = found()
    assert (numbers["solver"], numbers["solver_after"]) == ("ddim", "unipc")
    assert (numbers["images"], numbers["samples"], numbers["feature_width"]) == (40, 30, 2)
    assert numbers["seeds"] == [3, 4, 5]
    (over,) = numbers["over_seeds"]
    means = {part: over["frechet"][part]["value"] for part in ("before", "after", "change")}
    assert means == pytest.approx({"before": 9, "after": 20 / 3, "change": -7 / 3})
    assert over["kid"]["change"]["value"] == 1
    assert over["tint"]["change"]["value"] == pytest.approx(0)


def test_lines_and_table_say_before_then_after_and_mark_what_is_certain():
    numbers = found()
    lines = distance_lines(numbers, PAIR)
    assert lines[0].endswith("3 seeds, ddim before, unipc after; other real images are at 0.25")
    assert "of 30 samples to 40 images" in lines[0]
    assert lines[1].startswith(
        "5 evaluations, Frechet distance (pixels): 9 before, 6.667 after, change -2.3 ["
    )
    rows = _table(numbers).rows
    assert [words[:4] for words in rows] == [
        ["5", "Frechet distance (pixels)", "9", "6.667"],
        ["5", "kernel distance", "1", "2"],
        ["5", "error of the mean colour", "0.5", "0.5"],
    ]
    assert [words[4].tone for words in rows] == [GOOD, BAD, PLAIN]


BETTER, WORSE, UNSURE = (-2, -1), (1, 2), (-1, 1)


def change(ends):
    return {"change": dict(zip(("lower", "upper"), ends, strict=True))}


def changes(*frechet, kid=(), tint=()):
    """A report of measures that change within these ends, at 1, 2 ... evaluations; else it is not sure."""
    return {
        "over_seeds": [
            {"nfe": nfe, "frechet": change(a), "kid": change(b or UNSURE), "tint": change(c or UNSURE)}
            for nfe, (a, b, c) in enumerate(zip_longest(frechet, kid, tint), 1)
        ],
        "seeds": [0, 1, 2], "confidence": 0.95, "distance": "FID",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ends", "begins", "advice"),
    [
        ((BETTER, UNSURE), "Samples are certainly better at 1 evaluation (", USE),
        ((UNSURE, WORSE), "Samples are certainly worse at 2 evaluations (", DO_NOT),
        ((BETTER, WORSE), "Samples are certainly better at 1 and certainly worse at 2", UNDECIDED),
        ((UNSURE,), "No difference of samples is certain at 1 evaluation (", UNDECIDED),
    ],
)
def test_only_what_is_certain_is_called_better_or_worse(ends, begins, advice):
    verdict = quality_verdict(changes(*ends))
    assert verdict.sentence.startswith(begins)
    assert verdict.advice == advice
    assert "kernel" not in verdict.sentence and "colour" not in verdict.sentence


HOW = "(paired noise, 3 seeds, 95%), by the FID"


@pytest.mark.parametrize(
    ("measures", "sentence", "advice"),
    [
        (
            changes(UNSURE, UNSURE, kid=(BETTER, UNSURE), tint=(BETTER, WORSE)),
            f"No difference of samples is certain at 1, 2 evaluations {HOW}, but by other measures: the "
            "kernel distance certainly falls at 1 evaluation; the error of the mean colour certainly falls "
            "at 1 evaluation; the error of the mean colour certainly rises at 2 evaluations.",
            UNDECIDED,
        ),
        (
            changes(BETTER, kid=(BETTER,)),
            f"Samples are certainly better at 1 evaluation {HOW}; the kernel distance certainly falls at 1 "
            "evaluation; use it there.",
            USE,
        ),
        (
            changes(BETTER, tint=(WORSE,)),
            f"Samples are certainly better at 1 evaluation {HOW}; the error of the mean colour certainly "
            "rises at 1 evaluation; weigh these before you use it there.",
            UNDECIDED,
        ),
        (
            changes(WORSE, kid=(BETTER,)),
            f"Samples are certainly worse at 1 evaluation {HOW}; the kernel distance certainly falls at 1 "
            "evaluation; do not use it there.",
            DO_NOT,
        ),
    ],
)
def test_the_first_sentence_tells_all_that_is_certain(measures, sentence, advice):
    verdict = quality_verdict(measures)
    assert (verdict.sentence, verdict.advice) == (sentence, advice)


@pytest.mark.parametrize(
    ("settings", "after"),
    [
        ({"calibration": "c", "fitted": None}, "with the calibration"),
        ({"calibration": None, "fitted": "f"}, "with the fitted solver"),
        ({"calibration": "c", "fitted": "f"}, "with the calibration and the fitted solver"),
    ],
)
def test_what_before_and_after_are_is_said_in_lines_and_beside_a_validation(settings, after):
    numbers = found() | {"settings": settings}
    meaning = f"before: the network as it is; after: {after}"
    lines = distance_lines(numbers, PAIR, _pair(numbers))
    assert lines[1] == meaning
    assert distance_section(numbers).text == (lines[0], meaning)


def test_each_panel_draws_the_measure_that_its_words_name():
    numbers = found()
    panels = distance_section(numbers).panels
    assert all(panel.draw.keywords["report"] == numbers for panel in panels)
    drawn = [
        (panel.draw.func, panel.draw.keywords["name"], panel.draw.keywords.get("label"), panel.alt)
        for panel in panels
    ]
    name, ways = "Frechet distance (pixels)", "without and with calibration"
    assert drawn == [
        (draw_measure, "frechet", name, f"{name} over network evaluations, {ways}"),
        (draw_change, "frechet", None, f"Change of the {name} by calibration over network evaluations"),
        (draw_measure, "kid", "Kernel distance, same features",
         f"Kernel distance over network evaluations, {ways}"),
        (draw_measure, "tint", "Error of the mean colour",
         f"Error of the mean colour over network evaluations, {ways}"),
    ]  # fmt: skip
