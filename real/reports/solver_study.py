"""The report of ``python -m real solver-study``: distances against evaluations."""

from functools import partial
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from real.calibrated.counted import counted, listed
from real.reports.elements import Cell, Panel, Section, Table
from real.reports.origin import Origin
from real.reports.page import Report
from theory.calibration.verdict import Verdict
from theory.statistics.intervals import LEVEL, Estimate
from theory.support.plot_style import BLUE, GREY, ORANGE

LIMITING = ("ddim", "fitted")
"""Solvers that are in the picture whatever the others do."""
EMPHASIZED = {"fitted": BLUE, "fitted: trajectory": ORANGE}


def solver_report(numbers: dict[str, Any], origin: Origin) -> Report:
    """What a study found, in rows.

    Args:
        numbers: ``rows``, and what the study says of its settings.
        origin: the command that made it.
    """
    report = {**numbers, "over_seeds": over_seeds(numbers["rows"])}
    panel = Panel(
        partial(draw_study, report=report),
        "Distance over network evaluations, a line for each solver",
    )
    settings = {name: report[name] for name in ("data", "samples", "seeds", "features")}
    sections = (
        Section(
            "Distance against evaluations", (_compared(report),), (panel,), tables=(_table(report),)
        ),
        origin.section(report["fingerprint"], settings),
    )
    return Report(
        "solver-study", f"Solvers on {report['checkpoint']}", _verdict(report), _summary(report), report,
        sections, ("solver-study.png", "solver-study.pdf"), columns=1,
    )  # fmt: skip


def _verdict(report: dict[str, Any]) -> Verdict:
    """The nearest at each number of evaluations, where it is certain."""
    sure, unsure = [], []
    for nfe in dict.fromkeys(row["nfe"] for row in report["rows"]):
        name, distance, certain = nearest([row for row in report["rows"] if row["nfe"] == nfe])
        if certain:
            sure.append(f"{nfe}: {name} ({distance:.3g})")
        else:
            unsure.append(nfe)
    how = f"(paired noise, {report['seeds']} seeds, {LEVEL:.0%})"
    none = f"no solver is certainly the nearest {how}; more seeds may show one"
    if not sure:
        return Verdict(f"At {listed(unsure, 'evaluation')} {none}.")
    rest = (
        f"; at {', '.join(map(str, unsure))} none is, and more seeds may show one" if unsure else ""
    )
    return Verdict(
        f"Certainly nearest to real images {how}, by evaluations: {', '.join(sure)}{rest}."
    )


def nearest(rows: list[dict[str, Any]]) -> tuple[str, float, bool]:
    """The solver of the least mean distance, that, and whether it is certainly below each other one.

    Args:
        rows: of one number of evaluations, each solver at the same seeds in the same order.
    """
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row["solver"], []).append(row["frechet"])
    values = {name: torch.tensor(each, dtype=torch.float64) for name, each in found.items()}
    best = min(values, key=lambda name: values[name].mean().item())
    above = [Estimate.of_mean(each - values[best]) for name, each in values.items() if name != best]
    return best, values[best].mean().item(), all(rise.lower > 0 for rise in above)


def _table(report: dict[str, Any]) -> Table:
    rows = report["over_seeds"]
    evaluations = list(dict.fromkeys(row["nfe"] for row in rows))
    solvers = list(dict.fromkeys(row["solver"] for row in rows))
    known = {(row["solver"], row["nfe"]): row["frechet"] for row in rows}

    def cell(solver: str, nfe: int) -> str | Cell:
        """The mean over seeds and half of its interval."""
        found = known.get((solver, nfe))
        if found is None:
            return "–"
        return Cell(f"{found['value']:.3g}", beside=f"± {found['upper'] - found['value']:.2g}")

    return Table(
        ("solver", *(counted(nfe, "evaluation") for nfe in evaluations)),
        [[solver, *(cell(solver, nfe) for nfe in evaluations)] for solver in solvers],
        f"{report['distance']}, means over seeds, with half of their 95 % intervals",
    )


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


def _compared(report: dict[str, Any]) -> str:
    return (
        f"{report['distance']} of {report['samples']} samples to {report['images']} images, "
        f"{report['seeds']} seeds; features: {report['features']}"
    )


def _summary(report: dict[str, Any]) -> list[str]:
    lines = [_compared(report)]
    for nfe in dict.fromkeys(row["nfe"] for row in report["over_seeds"]):
        own = [row for row in report["over_seeds"] if row["nfe"] == nfe]
        each = ", ".join(f"{row['solver']} {row['frechet']['value']:.3g}" for row in own)
        lines.append(f"{counted(nfe, 'evaluation')}: {each}")
    return lines


def draw_study(ax: Axes, report: dict[str, Any]) -> None:
    """Distance over evaluations, a line for each solver."""
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
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
