"""The report of the study of the estimators: medians over the seeds."""

from dataclasses import asdict

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from real.experiments.estimator_study import EstimatorStudy, EstimatorStudyPlan
from real.experiments.study_plan import Rows, names_in, rows_where
from real.reports.page import Report
from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE, PINK, SKY

COLOURS = (GREY, GREEN, BLUE, ORANGE, PINK, SKY)


def estimator_study_report(plan: EstimatorStudyPlan, study: EstimatorStudy) -> Report:
    """Error of every estimator over evaluations, and held-out gain of every recipe over images."""
    estimators, recipes = names_in(study.errors, "estimator"), names_in(study.gains, "recipe")
    errors: Rows = []
    gains: Rows = []
    for n in plan.sizes:
        of = [rows_where(study.errors, images=n, estimator=name) for name in estimators]
        errors.append({"images": n, "median": [_median(rows, "error") for rows in of]})
        of = [rows_where(study.gains, images=n, recipe=name) for name in recipes]
        gains.append({"images": n, "cells": [(_median(rows, "gain"), losses(rows)) for rows in of]})
    page = {
        "checkpoint": plan.checkpoint.reference, "times": study.times, "seeds": plan.seeds,
        "truth_draws": plan.truth_draws, "estimators": estimators, "recipes": recipes,
        "errors": errors, "gains": gains,
    }  # fmt: skip
    return Report(
        "study", asdict(study), [], lambda figure: draw_estimator_study(figure, study), (8.0, 3.3),
        ("study.png",), page,
    )  # fmt: skip


def losses(rows: Rows) -> int:
    """In how many runs the whole interval of the gain is below zero."""
    return sum(row["gain_upper"] < 0 for row in rows)


def _median(rows: Rows, value: str) -> float:
    return float(np.median([row[value] for row in rows]))


def draw_estimator_study(figure: Figure, study: EstimatorStudy) -> None:
    """Error of the estimators over network evaluations, and gain of the recipes over images."""
    left, right = figure.subplots(1, 2)
    left.set(xscale="log", yscale="log")
    _draw_spread(left, study.errors, "estimator", "evaluations", "error")
    left.set(xlabel="network evaluations", ylabel=r"$|\hat\eta-\eta|^2$, mean over $t$")
    left.set_title("Error of the estimate")
    left.legend(loc="lower left", fontsize=7, ncols=2)
    left.set_ylim(bottom=left.get_ylim()[0] / 5)
    right.set_xscale("log")
    right.set_yscale("symlog", linthresh=0.01)
    _draw_spread(right, study.gains, "recipe", "images", "gain")
    right.axhline(0, color="black", lw=0.6)
    right.set(xlabel="images, one draw each per time", ylabel="fall of the bound (nats)")
    right.set_title("Held-out gain")
    right.set_ylim(top=10)
    right.legend(loc="upper left", fontsize=7, ncols=2)


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
