"""The report of the study of the estimators: medians over the seeds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from real.experiments.estimator_study import EstimatorStudy, EstimatorStudyPlan
from real.experiments.study_plan import Rows
from real.reports.page import Report
from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE, PINK, SKY

COLOURS = (GREY, GREEN, BLUE, ORANGE, PINK, SKY)


@dataclass(frozen=True)
class EstimatorStudyReport(Report):
    """Error of every estimator over evaluations, and held-out gain of every recipe over images.

    Attributes:
        tables: what the page shows.
    """

    tables: dict[str, Any]
    name = "study"
    figures = ("study.png",)
    size = (8.0, 3.3)
    template = "study.html.j2"

    @classmethod
    def of(cls, plan: EstimatorStudyPlan, study: EstimatorStudy) -> "EstimatorStudyReport":
        """The report of a study."""
        estimators, recipes = _by(study.errors, "estimator"), _by(study.gains, "recipe")
        tables = {
            "checkpoint": plan.checkpoint.reference,
            "times": study.times,
            "seeds": plan.seeds,
            "truth_draws": plan.truth_draws,
            "estimators": list(estimators),
            "recipes": list(recipes),
            "errors": [
                {"images": n, "median": [_median(r, n, "error") for r in estimators.values()]}
                for n in plan.sizes
            ],
            "gains": [
                {
                    "images": n,
                    "cells": [(_median(r, n, "gain"), losses(r, n)) for r in recipes.values()],
                }
                for n in plan.sizes
            ],
        }
        return cls(asdict(study), tables)

    def page(self) -> dict[str, Any]:
        """The tables."""
        return self.tables

    def draw(self, figure: Figure) -> None:
        """Error and gain, side by side."""
        left, right = figure.subplots(1, 2)
        self.draw_errors(left)
        self.draw_gains(right)

    def draw_errors(self, ax: Axes) -> None:
        """Error energy of the estimators against network evaluations."""
        ax.set(xscale="log", yscale="log")
        sizes = _draw_spread(ax, _by(self.numbers["errors"], "estimator"), "evaluations", "error")
        ax.set(xlabel="network evaluations", ylabel=r"$|\hat\eta-\eta|^2$, mean over $t$")
        ax.set_title("Error of the estimate")
        ax.legend(loc="lower left", fontsize=7, ncols=2)
        ax.set_ylim(bottom=ax.get_ylim()[0] / 5)
        ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
        ax.minorticks_off()

    def draw_gains(self, ax: Axes) -> None:
        """Held-out gain of the recipes against images."""
        sizes = _draw_spread(ax, _by(self.numbers["gains"], "recipe"), "images", "gain")
        ax.axhline(0, color="black", lw=0.6)
        ax.set_xscale("log")
        ax.set_yscale("symlog", linthresh=0.01)
        ax.set(xlabel="images, one draw each per time", ylabel="fall of the bound (nats)")
        ax.set_title("Held-out gain")
        ax.set_ylim(top=10)
        ax.legend(loc="upper left", fontsize=7, ncols=2)
        ax.set_xticks(sizes, [str(size) for size in sizes])
        ax.minorticks_off()


def losses(rows: Rows, images: int) -> int:
    """In how many of the runs with so many images the whole interval of the gain is below zero."""
    return sum(row["gain_upper"] < 0 for row in rows if row["images"] == images)


def _median(rows: Rows, images: int, value: str) -> float:
    return float(np.median([row[value] for row in rows if row["images"] == images]))


def _by(rows: Rows, key: str) -> dict[str, Rows]:
    """The rows of each name."""
    return {
        name: [row for row in rows if row[key] == name]
        for name in dict.fromkeys(row[key] for row in rows)
    }


def _draw_spread(ax: Axes, groups: dict[str, Rows], along: str, value: str) -> Sequence[int]:
    """Median, least and largest value over the seeds of each group; what they are drawn over."""
    sizes: list[int] = []
    for (name, rows), colour in zip(groups.items(), COLOURS, strict=False):
        sizes = sorted({row[along] for row in rows})
        values = [[row[value] for row in rows if row[along] == size] for size in sizes]
        middle = [float(np.median(v)) for v in values]
        ax.plot(sizes, middle, "o-", ms=3, lw=1, color=colour, label=name)
        low, high = list(map(min, values)), list(map(max, values))
        ax.fill_between(sizes, low, high, color=colour, alpha=0.2, lw=0)
    return sizes
