"""The report of the study of the estimators: medians over the seeds."""

from dataclasses import asdict
from functools import partial

import numpy as np
from matplotlib.axes import Axes

from real.experiments.estimator_study import EstimatorStudy, EstimatorStudyPlan
from real.experiments.study_plan import Rows, names_in, rows_where
from real.reports.elements import BAD, PLAIN, Cell, Panel, Section, Table
from real.reports.origin import Origin
from real.reports.page import Report
from theory.calibration.verdict import Verdict
from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE, PINK, SKY

COLOURS = (GREY, GREEN, BLUE, ORANGE, PINK, SKY)


def estimator_study_report(
    plan: EstimatorStudyPlan, study: EstimatorStudy, origin: Origin
) -> Report:
    """Error of every estimator over evaluations, and held-out gain of every recipe over images."""
    estimators, recipes = names_in(study.errors, "estimator"), names_in(study.gains, "recipe")
    errors: Rows = []
    gains: Rows = []
    for n in plan.sizes:
        of = [rows_where(study.errors, images=n, estimator=name) for name in estimators]
        errors.append({"images": n, "median": [_median(rows, "error") for rows in of]})
        of = [rows_where(study.gains, images=n, recipe=name) for name in recipes]
        gains.append({"images": n, "cells": [(_median(rows, "gain"), losses(rows)) for rows in of]})
    sections = (
        Section(
            "Error of the estimate",
            (
                "|estimate - truth|², geometric mean over times. Truth is the mean residual of all the "
                f"calibration images over {plan.truth_draws} draws each. At equal network evaluations; "
                "spline and network smooth the regression estimates of all times over log-SNR.",
            ),
            (Panel(partial(draw_errors, study=study), "Error of the estimators over network evaluations"),),
            tables=(_error_table(estimators, errors),),
        ),
        Section(
            "Held-out fall of the likelihood bound",
            (
                f"Nats; the median, and in how many of the {plan.seeds} runs the whole interval over "
                "held-out images lies below zero.",
            ),
            (Panel(partial(draw_gains, study=study), "Held-out fall of the bound over images"),),
            tables=(_gain_table(recipes, gains),),
        ),
        origin.section(
            plan.checkpoint.fingerprint, {"times": len(study.times), "seeds": plan.seeds}
        ),
    )  # fmt: skip
    return Report(
        "study", f"Estimators of the mean error of {plan.checkpoint.reference}",
        _verdict(recipes, gains, plan.seeds), [], asdict(study), sections, ("study.png",),
    )  # fmt: skip


def _verdict(recipes: list[str], gains: Rows, seeds: int) -> Verdict:
    """How often each recipe certainly lost."""
    lost = {name: sum(row["cells"][k][1] for row in gains) for k, name in enumerate(recipes)}
    each = ", ".join(f"{name} in {count}" for name, count in lost.items())
    return Verdict(f"Of {seeds * len(gains)} runs the bound certainly rose held out: {each}.")


def _error_table(estimators: list[str], errors: Rows) -> Table:
    rows = [[str(row["images"]), *(f"{value:.2g}" for value in row["median"])] for row in errors]
    return Table(("images", *estimators), rows, "Squared error, medians over the seeds")


def _gain_table(recipes: list[str], gains: Rows) -> Table:
    rows: list[list[str | Cell]] = [
        [
            str(row["images"]),
            *(
                Cell(f"{value:.4f}", BAD if lost else PLAIN, f"({lost})")
                for value, lost in row["cells"]
            ),
        ]
        for row in gains
    ]
    return Table(
        ("images", *recipes),
        rows,
        "Fall of the bound in nats, medians over the seeds (runs that lost)",
    )


def losses(rows: Rows) -> int:
    """In how many runs the whole interval of the gain is below zero."""
    return sum(row["gain_upper"] < 0 for row in rows)


def _median(rows: Rows, value: str) -> float:
    return float(np.median([row[value] for row in rows]))


def draw_errors(ax: Axes, study: EstimatorStudy) -> None:
    """Error of the estimators over network evaluations."""
    ax.set(xscale="log", yscale="log")
    _draw_spread(ax, study.errors, "estimator", "evaluations", "error")
    ax.set(xlabel="network evaluations", ylabel=r"$|\hat\eta-\eta|^2$, mean over $t$")
    ax.set_title("Error of the estimate")
    ax.legend(loc="lower left", fontsize=7, ncols=2)
    ax.set_ylim(bottom=ax.get_ylim()[0] / 5)


def draw_gains(ax: Axes, study: EstimatorStudy) -> None:
    """Held-out gain of the recipes over images."""
    ax.set_xscale("log")
    ax.set_yscale("symlog", linthresh=0.01)
    _draw_spread(ax, study.gains, "recipe", "images", "gain")
    ax.axhline(0, color="black", lw=0.6)
    ax.set(xlabel="images, one draw each per time", ylabel="fall of the bound (nats)")
    ax.set_title("Held-out gain")
    ax.set_ylim(top=10)
    ax.legend(loc="upper left", fontsize=7, ncols=2)


def _draw_spread(ax: Axes, rows: Rows, group: str, along: str, value: str) -> None:
    """Median, least and largest value over the seeds of each group."""
    sizes = sorted(names_in(rows, along))
    for name, colour in zip(names_in(rows, group), COLOURS, strict=False):
        of = [rows_where(rows, **{group: name, along: size}) for size in sizes]
        middle = [_median(found, value) for found in of]
        ax.plot(sizes, middle, "o-", ms=3, lw=1, color=colour, label=name)
        low, high = ([f(row[value] for row in found) for found in of] for f in (min, max))
        ax.fill_between(sizes, low, high, color=colour, alpha=0.2, lw=0)
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.minorticks_off()
