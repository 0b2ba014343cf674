"""The study of the estimators as numbers, a figure and a page."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from real.experiments.study import Plan, Study
from real.reports.templates import render
from theory.support.output import replacing_folder, write_json
from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE, PINK, SKY, STYLE

Rows = list[dict[str, Any]]
COLOURS = (GREY, GREEN, BLUE, ORANGE, PINK, SKY)


def write(out: Path, plan: Plan, study: Study) -> None:
    """Write ``study.json``, ``study.png`` and ``study.html``; the folder appears whole or not at all."""
    with replacing_folder(out) as folder:
        write_json(folder / "study.json", asdict(study))
        _save(folder / "study.png", study.errors, study.gains)
        (folder / "study.html").write_text(page(plan, study))


def page(plan: Plan, study: Study) -> str:
    """The page: the figure, and medians over the seeds as tables."""
    estimators, recipes = _by(study.errors, "estimator"), _by(study.gains, "recipe")
    return render(
        "study.html.j2", checkpoint=plan.checkpoint.reference, times=study.times,
        seeds=plan.seeds, truth_draws=plan.truth_draws,
        estimators=[name for name, _ in estimators], recipes=[name for name, _ in recipes],
        errors=[
            {"images": n, "median": [_median(rows, n, "error") for _, rows in estimators]}
            for n in plan.sizes
        ],
        gains=[
            {"images": n, "cells": [(_median(r, n, "gain"), losses(r, n)) for _, r in recipes]}
            for n in plan.sizes
        ],
    )  # fmt: skip


def losses(rows: Rows, images: int) -> int:
    """In how many of the runs with so many images the whole interval of the gain is below zero."""
    return sum(row["gain_upper"] < 0 for row in rows if row["images"] == images)


def _median(rows: Rows, images: int, value: str) -> float:
    return float(np.median([row[value] for row in rows if row["images"] == images]))


def draw(axes: tuple[Axes, Axes], errors: Rows, gains: Rows) -> None:
    """Error energy of the estimators, and held-out gain of the recipes, against images."""
    left, right = axes
    for (name, rows), colour in zip(_by(errors, "estimator"), COLOURS, strict=False):
        sizes, middle, low, high = _spread(rows, "error", "evaluations")
        left.loglog(sizes, middle, "o-", ms=3, lw=1, color=colour, label=name)
        left.fill_between(sizes, low, high, color=colour, alpha=0.2, lw=0)
    left.set(xlabel="network evaluations", ylabel=r"$|\hat\eta-\eta|^2$, mean over $t$")
    left.set_title("Error of the estimate")
    left.legend(loc="lower left", fontsize=7, ncols=2)
    left.set_ylim(bottom=left.get_ylim()[0] / 5)
    left.set_xticks(sizes, [f"{size:,}" for size in sizes])
    left.minorticks_off()
    for (name, rows), colour in zip(_by(gains, "recipe"), COLOURS, strict=False):
        sizes, middle, low, high = _spread(rows, "gain", "images")
        right.plot(sizes, middle, "o-", ms=3, lw=1, color=colour, label=name)
        right.fill_between(sizes, low, high, color=colour, alpha=0.2, lw=0)
    right.axhline(0, color="black", lw=0.6)
    right.set_xscale("log")
    right.set_yscale("symlog", linthresh=0.01)
    right.set(xlabel="images, one draw each per time", ylabel="fall of the bound (nats)")
    right.set_title("Held-out gain")
    right.set_ylim(top=10)
    right.legend(loc="upper left", fontsize=7, ncols=2)
    right.set_xticks(sizes, [str(size) for size in sizes])
    right.minorticks_off()


def _save(path: Path, errors: Rows, gains: Rows) -> None:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.0, 3.3))
        draw(tuple(figure.subplots(1, 2)), errors, gains)
        figure.savefig(path, format="png")


def _by(rows: Rows, key: str) -> list[tuple[str, Rows]]:
    names = list(dict.fromkeys(row[key] for row in rows))
    return [(name, [row for row in rows if row[key] == name]) for name in names]


def _spread(
    rows: Rows, value: str, along: str
) -> tuple[list[int], list[float], list[float], list[float]]:
    """Median, least and largest value over the seeds, for each number of images or evaluations."""
    sizes = sorted({row[along] for row in rows})
    values = [[row[value] for row in rows if row[along] == size] for size in sizes]
    return (
        sizes,
        [float(np.median(v)) for v in values],
        list(map(min, values)),
        list(map(max, values)),
    )
