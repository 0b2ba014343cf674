"""The study of repair as numbers, a figure and a page."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from real.experiments.repair_study import (
    COMPARED,
    FULL,
    MAIN,
    NETWORKS,
    NONE,
    ORDER_0,
    ORDER_1,
    PLAIN_AVERAGE,
    Plan,
    Rows,
    Study,
)
from real.reports.templates import render
from theory.statistics.intervals import LEVEL, Estimate
from theory.support.output import replacing_folder, write_json
from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE, PINK, STYLE

COLOURS = {NONE: ORANGE, PLAIN_AVERAGE: PINK, ORDER_0: GREEN, ORDER_1: BLUE}
DAMAGED = [name for name in NETWORKS if name != FULL]


def write(out: Path, plan: Plan, study: Study, distance: str, floor: float) -> dict[str, Any]:
    """Write ``repair-study.json``, ``.png`` and ``.html``, and return what the page shows.

    Args:
        distance: what the Frechet distance is called.
        floor: that of other real images.
    """
    shown = tables(plan, study, distance, floor)
    with replacing_folder(out) as folder:
        write_json(folder / "repair-study.json", asdict(study) | {"tables": shown})
        _save(folder / "repair-study.png", plan, study, shown)
        (folder / "repair-study.html").write_text(render("repair_study.html.j2", **shown))
    return shown


def tables(plan: Plan, study: Study, distance: str, floor: float) -> dict[str, Any]:
    """What the page shows: means over the seeds, with intervals of Student's."""
    compared = list(dict.fromkeys(row["correction"] for row in study.losses))
    return {
        "checkpoint": plan.checkpoint.reference,
        "images": len(plan.images),
        "held_out": len(plan.held_out),
        "times": len(plan.times),
        "seeds": len(plan.seeds),
        "samples": plan.samples,
        "solver": plan.solver,
        "distance": distance,
        "floor": floor,
        "confidence": LEVEL,
        "compared": COMPARED,
        "networks": list(NETWORKS),
        "main": MAIN,
        "above_full": [
            {"correction": name, "cells": [_above(study.losses, n, name) for n in NETWORKS]}
            for name in compared
        ],
        "frechet": [
            {
                "nfe": nfe,
                "network": network,
                "cells": [_frechet(study.samples, network, name, nfe) for name in MAIN],
            }
            for nfe in dict.fromkeys(row["nfe"] for row in study.samples)
            for network in NETWORKS
        ],
        "frechet_compared": [
            {
                "correction": name,
                "cells": [_frechet(study.samples, n, name, COMPARED) for n in NETWORKS],
            }
            for name in compared
        ],
        "few": {"images": plan.few, "choices": plan.few_seeds, "rows": _few(study.few)},
        "cost": study.cost,
    }


def _above(rows: Rows, network: str, correction: str) -> dict[str, float] | None:
    return _over_seeds(
        [
            row["above_full"]["value"]
            for row in rows
            if (row["network"], row["correction"]) == (network, correction)
        ]
    )


def _frechet(rows: Rows, network: str, correction: str, nfe: int) -> dict[str, float] | None:
    wanted = (network, correction, nfe)
    return _over_seeds(
        [
            row["frechet"]
            for row in rows
            if (row["network"], row["correction"], row["nfe"]) == wanted
        ]
    )


def _over_seeds(values: list[float]) -> dict[str, float] | None:
    """The mean over seeds, and its interval; None of nothing."""
    return vars(Estimate.of_mean(torch.tensor(values, dtype=torch.float64))) if values else None


def _few(rows: Rows) -> list[dict[str, Any]]:
    """Per network and policy: the median and least fall, and how often all of its interval is harm."""
    found = []
    for network, policy in dict.fromkeys((row["network"], row["policy"]) for row in rows):
        falls = [
            row["fall"] for row in rows if (row["network"], row["policy"]) == (network, policy)
        ]
        values = torch.tensor([fall["value"] for fall in falls])
        found.append(
            {
                "network": network,
                "policy": policy,
                "median": values.median().item(),
                "least": values.min().item(),
                "harmed": sum(fall["upper"] < 0 for fall in falls),
            }
        )
    return found


def summary(shown: dict[str, Any]) -> list[str]:
    """The main figures in words."""
    lines = [f"{shown['distance']} of {shown['samples']} samples, {shown['compared']} evaluations:"]
    for row in shown["frechet_compared"]:
        cells = zip(shown["networks"], row["cells"], strict=True)
        values = ", ".join(f"{n} {cell['value']:.3g}" for n, cell in cells if cell)
        if values:
            lines.append(f"  {row['correction']}: {values}")
    lines.append(f"order 1 adds {shown['cost']['ratio'] - 1:.1%} to sampling time")
    return lines


def draw_loss(ax: Axes, plan: Plan, study: Study, network: str) -> None:
    """Held-out loss over log-SNR as a multiple of the full network's, mean over seeds."""
    log_snr = plan.checkpoint.schedule.log_snr(plan.times).tolist()
    full = _mean_loss(study.losses, FULL, NONE)
    for name in MAIN:
        relative = (_mean_loss(study.losses, network, name) / full).tolist()
        ax.semilogy(log_snr, relative, color=COLOURS[name], lw=1.2, label=name)
    ax.axhline(1, color="black", lw=0.6)
    ax.set(xlabel="log-SNR", title=f"{network}: loss / full precision's")


def _mean_loss(rows: Rows, network: str, correction: str) -> torch.Tensor:
    return torch.tensor(
        [
            row["loss"]
            for row in rows
            if (row["network"], row["correction"]) == (network, correction)
        ]
    ).mean(0)


def draw_frechet(ax: Axes, shown: dict[str, Any], network: str) -> None:
    """Frechet distance over evaluations, with the uncorrected full network's as a dashed line."""
    rows = [row for row in shown["frechet"] if row["network"] == network]
    full = [row["cells"][0]["value"] for row in shown["frechet"] if row["network"] == FULL]
    nfe = [row["nfe"] for row in rows]
    for k, name in enumerate(MAIN):
        cells = [row["cells"][k] for row in rows]
        ax.plot(
            nfe, [c["value"] for c in cells], "o-", ms=3, lw=1.2, color=COLOURS[name], label=name
        )
    ax.plot(nfe, full, "--", color=GREY, lw=1.2, label="full, none")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(nfe, [str(n) for n in nfe])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("{x:.3g}")
    ax.set(xlabel="network evaluations per sample", title=f"{network}: {shown['distance']}")


def _save(path: Path, plan: Plan, study: Study, shown: dict[str, Any]) -> None:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.0, 6.0))
        panels = figure.subplots(2, len(DAMAGED))
        for k, network in enumerate(DAMAGED):
            draw_loss(panels[0, k], plan, study, network)
            draw_frechet(panels[1, k], shown, network)
        panels[0, 0].legend()
        panels[1, 0].legend()
        figure.savefig(path, format="png")
