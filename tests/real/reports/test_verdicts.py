"""Verdicts on a repair and on a fit: helped, harmed or not certain, by the ends of the intervals."""

from dataclasses import replace

import pytest

from real.calibrated.fitted_solvers import unfitted_solver
from real.calibrated.repair import NONE, ORDER_1
from real.reports.elements import BAD, GOOD, PLAIN, Section
from real.reports.fitted import fitted_report, fitted_verdict
from real.reports.origin import Origin
from real.reports.repair import _above, _losses, _summary, _verdict
from tests.real.exact import exact_checkpoint
from theory.calibration.verdict import DO_NOT, UNDECIDED, USE
from theory.sampling.fitted import MARGINALS, TRAJECTORY, FittedSolver


def estimate(value, room=0.5):
    return {"value": value, "lower": value - room, "upper": value + room}


def repaired(kept, warning=None):
    above = {NONE: estimate(2.0), ORDER_1: estimate(kept)}
    return {"warning": warning, "above_full": above, "kept": ORDER_1}


@pytest.mark.parametrize(
    ("kept", "begins", "advice"),
    [
        (0.5, "Repair helps: it moves the likelihood bound from +2 to +0.5 nats", USE),
        (3.5, "Repair harms: it moves the likelihood bound from +2 to +3.5 nats", DO_NOT),
        (
            1.5,
            "It is not certain that repair helps: the likelihood bound moves from +2 to",
            UNDECIDED,
        ),
        (
            2.5,
            "It is not certain that repair helps: the likelihood bound moves from +2 to",
            UNDECIDED,
        ),
    ],
)
def test_a_repair_is_judged_by_intervals_that_are_apart(kept, begins, advice):
    verdict = _verdict(repaired(kept))
    assert verdict.sentence.startswith(begins)
    assert verdict.advice == advice


def test_a_repair_of_what_does_not_fit_is_not_to_be_used():
    assert _verdict(repaired(0.5, "it is another network")).advice == DO_NOT


def test_what_lies_above_full_precision_is_bad_and_what_lies_below_is_good():
    table = _above({"worse": estimate(2.0), "better": estimate(-2.0), "unsure": estimate(0.1)})
    assert [row[1].tone for row in table.rows] == [BAD, GOOD, PLAIN]
    assert table.rows[1][2] == "-2.500 to -1.500"


def fitted(fall, fall_lower):
    """A fit after which the distance falls by ``fall``, and the moments' error surely by ``fall_lower``."""
    figures = {
        "distance": {"before": estimate(8.0), "after": estimate(2.0), "fall": estimate(fall)},
        "moments": {"before": 4.0, "after": 1.0, "fall_lower": fall_lower},
    }
    return replace(unfitted_solver(exact_checkpoint("table"), "ddim", 2), figures=figures)


@pytest.mark.parametrize(
    ("fall", "fall_lower", "advice"),
    [(6.0, 1.0, USE), (0.1, 1.0, UNDECIDED), (6.0, -1.0, UNDECIDED)],
)
def test_a_fit_helps_where_each_fall_is_certain(monkeypatch, fall, fall_lower, advice):
    monkeypatch.setattr(FittedSolver, "parts", (TRAJECTORY, MARGINALS))
    verdict = fitted_verdict(fitted(fall, fall_lower), ())
    assert verdict.advice == advice
    assert "distance to the fine solution, per pixel, is 2 where it was 8" in verdict.sentence
    assert (
        "error of the moments is 1 where it was 4 squared standard deviations" in verdict.sentence
    )
    assert fitted_verdict(fitted(fall, fall_lower), ("another law",)).advice == DO_NOT


def test_lines_of_a_repair_say_what_it_is_of_and_what_is_kept():
    found = repaired(0.5) | {
        "images_held_out": 900, "original": "net", "damage": "int4", "parameters": 1234, "bytes": 5678,
    }  # fmt: skip
    assert _summary(found) == [
        "net, int4: 1,234 parameters; 5,678 bytes",
        f"{NONE}: bound +2 nats from full precision's [+1.5, +2.5]",
        f"{ORDER_1}: bound +0.5 nats from full precision's [+0, +1], kept",
    ]
    assert _summary(found | {"bytes": None})[0] == "net, int4: 1,234 parameters"


def test_losses_of_a_repair_stand_under_their_names():
    times = [{"t": 0.5, "log_snr": 1.25, "one": estimate(3.0), "other": estimate(4.0)}]
    table = _losses(times)
    assert table.columns == ("t", "log-SNR", "one", "other")
    assert table.rows == [["0.5", "1.25", "3", "4"]]


def test_the_page_of_a_fit_tells_its_settings_in_words(monkeypatch):
    monkeypatch.setattr(FittedSolver, "parts", (TRAJECTORY, MARGINALS))
    figures = {"evaluations_fitting": 300, "evaluations": 1000}
    found = fitted(6.0, 1.0)
    moments = found.figures["moments"] | {"fall": 3.0}
    figures |= found.figures | {"moments": moments, "fine_solution_error": 0.1}
    made = found.provenance | {"seed": 5, "calibrations": ["abc", None]}
    found = replace(found, figures=figures, provenance=made)
    report = fitted_report(found, (), Section("To use it"), 2, Origin("fit-solver"))
    assert report.title == "ddim in 2 evaluations, fitted to table"
    assert report.summary[0] == (
        "ddim, 2 evaluations: trajectory, marginals fitted with 300 network evaluations, 700 more on "
        "fresh starts"
    )
    told = dict(report.sections[-1].tables[0].rows)
    assert told["schedule"].startswith("DiscreteSchedule(1000 steps")
    assert (told["seed"], told["calibrations"], told["nfe"]) == ("5", "abc", "2")
    assert told["fingerprint of the network"] == "exact" and "checkpoint" not in told
    assert report.numbers == {"figures": figures, "provenance": made}
