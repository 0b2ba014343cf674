"""The report of ``python -m real fit-solver``: what a fit gained, and what it cost."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from matplotlib.axes import Axes

from real.calibrated.counted import counted
from real.calibrated.fitted_solvers import (
    fitted_summary,
    measured_distance,
    measured_moments,
    seen,
)
from real.reports.elements import Panel, Section
from real.reports.origin import Origin
from real.reports.page import Report
from real.solvers.sampling import odd_evaluations
from theory.calibration.verdict import DO_NOT, USE, Verdict
from theory.diffusion.schedules import from_description
from theory.sampling.fitted import FittedSolver
from theory.support.plot_style import BLUE, ORANGE


def fitted_report(
    fitted: FittedSolver, doubts: Sequence[str], used: Section, allowed: int, origin: Origin
) -> Report:
    """Gains on fresh starts, in words and as bars.

    Args:
        fitted: the solver.
        doubts: what speaks against the images that it was fitted to.
        used: lines that use it.
        allowed: evaluations that were allowed.
        origin: the command that made it.
    """
    made, found = fitted.provenance, fitted.figures
    panels = (
        Panel(
            partial(draw_gain, figures=found),
            "Squared errors on fresh starts, fitted over not fitted",
        ),
    )
    shown = Section("What was gained, on fresh starts", panels=panels if _ratios(found) else ())
    settings = {
        name: _in_words(name, value)
        for name, value in made.items()
        if name not in ("checkpoint", "fingerprint")
    }
    return Report(
        "fitted",
        f"{made['solver']} in {counted(len(fitted.base), 'evaluation')}, fitted to {made.get('checkpoint')}",
        fitted_verdict(fitted, doubts),
        [*odd_evaluations(made["solver"], len(fitted.base), allowed), *fitted_summary(fitted)],
        {"figures": found, "provenance": made},
        (
            shown,
            used,
            origin.section(made.get("fingerprint", ""), settings),
        ),
    )


def _in_words(name: str, value: Any) -> Any:
    """A setting as a reader wants it: a schedule by its name, files that are there."""
    if name == "schedule":
        return from_description(value)
    return ", ".join(filter(None, value)) or None if name == "calibrations" else value


def fitted_verdict(fitted: FittedSolver, doubts: Sequence[str]) -> Verdict:
    """What the fit does, how sure that is, and whether to use it."""
    if doubts:
        return Verdict(
            f"Do not use it yet: {'; '.join(doubts)}; the law of the images must be that of the samples.",
            DO_NOT,
        )
    if not fitted.parts:
        return Verdict("Nothing was fitted, as nothing made left-out starts better.")
    gains, sure = [], []
    if distance := measured_distance(fitted.figures):
        before, after, fall = (distance[name] for name in ("before", "after", "fall"))
        gains.append(
            "the squared distance to the fine solution, per pixel, is "
            f"{_times(before['value'], after['value'])}"
        )
        sure.append(fall["lower"] > 0)
    if moments := measured_moments(fitted.figures):
        gains.append(
            f"the squared error of the moments is {_times(moments['before'], moments['after'])} "
            "squared standard deviations"
        )
        sure.append(moments["fall_lower"] > 0)
    if not gains:
        return Verdict("The start alone was fitted, of which no gain is measured here.")
    words = f"on fresh starts {' and '.join(gains)}"
    if all(sure):
        return Verdict(
            f"The fit helps: {words}, each fall certain at 95 %; use it, and measure samples with `quality`.",
            USE,
        )
    return Verdict(
        f"It is not certain that the fit helps: {words}; measure samples with `quality`."
    )


def _times(before: float, after: float) -> str:
    return f"{seen(after)} where it was {before:.3g}"


def _ratios(figures: Mapping[str, Any]) -> dict[str, float]:
    """Squared errors after over before; an unbiased estimate below zero sees none."""
    ratios = {}
    if distance := measured_distance(figures):
        ratios["distance to the\nfine solution"] = (
            distance["after"]["value"] / distance["before"]["value"]
        )
    if moments := measured_moments(figures):
        ratios["error of the\nmoments"] = max(0.0, moments["after"]) / moments["before"]
    return ratios


def draw_gain(ax: Axes, figures: Mapping[str, Any]) -> None:
    """A bar for each squared error: fitted over not fitted."""
    ratios = _ratios(figures)
    ax.bar(list(ratios), list(ratios.values()), color=BLUE, width=0.5)
    ax.axhline(1, color=ORANGE, lw=1)
    ax.set(ylabel="squared error, fitted / not fitted", title="Fresh starts")
