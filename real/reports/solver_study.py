"""The report of ``python -m real solver-study``: distances against evaluations."""

from functools import partial
from typing import Any

import torch
from matplotlib.figure import Figure

from real.reports.page import Report
from theory.statistics.intervals import Estimate
from theory.support.plot_style import BLUE, GREY, ORANGE

LIMITING = ("ddim", "fitted")
"""Solvers that are in the picture whatever the others do."""
EMPHASIZED = {"fitted": BLUE, "fitted: trajectory": ORANGE}


def solver_report(numbers: dict[str, Any]) -> Report:
    """What a study found, in rows; it has no page.

    Args:
        numbers: ``rows``, and what the study says of its settings.
    """
    report = {**numbers, "over_seeds": over_seeds(numbers["rows"])}
    return Report(
        "solver-study", report, _summary(report), partial(draw_study, report=report), (7.0, 4.2),
        ("solver-study.png", "solver-study.pdf"),
    )  # fmt: skip


def over_seeds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds with their intervals, a row for each solver and number of evaluations."""
    found = []
    for solver, nfe in dict.fromkeys((row["solver"], row["nfe"]) for row in rows):
        own = [row for row in rows if (row["solver"], row["nfe"]) == (solver, nfe)]
        values = torch.tensor([row["frechet"] for row in own], dtype=torch.float64)
        found.append({
            "solver": solver, "nfe": nfe, "spent": own[0]["spent"],
            "frechet": vars(Estimate.of_mean(values)),
        })  # fmt: skip
    return found


def _summary(report: dict[str, Any]) -> list[str]:
    lines = [
        f"{report['distance']} of {report['samples']} samples to {report['images']} images, "
        f"{report['seeds']} seeds; features: {report['features']}"
    ]
    for nfe in dict.fromkeys(row["nfe"] for row in report["over_seeds"]):
        own = [row for row in report["over_seeds"] if row["nfe"] == nfe]
        each = ", ".join(f"{row['solver']} {row['frechet']['value']:.3g}" for row in own)
        lines.append(f"{nfe} evaluations: {each}")
    return lines


def draw_study(figure: Figure, report: dict[str, Any]) -> None:
    """Distance over evaluations, a line for each solver."""
    ax = figure.subplots()
    rows = report["over_seeds"]
    for k, solver in enumerate(dict.fromkeys(row["solver"] for row in rows)):
        own = [row for row in rows if row["solver"] == solver]
        at = [row["nfe"] for row in own]
        values = [row["frechet"]["value"] for row in own]
        strong = solver in EMPHASIZED
        ax.loglog(
            at, values, "osv^D<>ph"[k % 9] + "-", ms=4, lw=1.8 if strong else 1.0, label=solver,
            color=EMPHASIZED.get(solver), alpha=1.0 if strong else 0.7,
        )  # fmt: skip
    ax.axhline(
        report["real_images"]["frechet"], color=GREY, lw=1, ls=":", label="other real images"
    )
    shown = [row["frechet"]["value"] for row in rows if row["solver"] in LIMITING]
    ax.set_ylim(top=1.5 * max(shown))  # others may leave the picture at the top
    ticks = sorted({row["nfe"] for row in rows})
    ax.set_xticks(ticks, map(str, ticks), minor=False)
    ax.set_xticks([], minor=True)
    ax.set(xlabel="network evaluations", ylabel=report["distance"], title=report["checkpoint"])
    ax.legend(fontsize=7, ncols=2)
