"""The report of the study of repair: means over the seeds, with Student's intervals."""

import math
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from matplotlib.axes import Axes

from real.calibrated.counted import counted
from real.experiments.repair_study import FULL, MAIN, NETWORKS, NONE, RepairStudy, RepairStudyPlan
from real.experiments.study_plan import Rows, names_in, rows_where
from real.reports.elements import BAD, PLAIN, Cell, Panel, Section, Table
from real.reports.origin import Origin
from real.reports.page import Report, tick_evaluations
from theory.calibration.verdict import Verdict
from theory.statistics.intervals import LEVEL, Estimate
from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE, PINK

COLOURS = dict(zip(MAIN, (ORANGE, PINK, GREEN, BLUE), strict=True))
DAMAGED = [name for name in NETWORKS if name != FULL]


def repair_study_report(
    plan: RepairStudyPlan, study: RepairStudy, distance: str, floor: float, origin: Origin
) -> Report:
    """Held-out loss and Frechet distance of every network under every correction.

    Args:
        plan, study: what was done, and what was found.
        distance: what the Frechet distance between the features is called.
        floor: the distance of other real images.
        origin: the command that made it.
    """
    tables = _tables(plan, study) | {"distance": distance, "floor": floor}
    log_snr = plan.checkpoint.schedule.log_snr(plan.times).tolist()

    losses = tuple(
        Panel(
            partial(draw_relative_loss, log_snr=log_snr, losses=study.losses, network=network),
            f"Held-out loss of {network} over that of full precision, over log-SNR",
        )
        for network in DAMAGED
    )
    distances = tuple(
        Panel(
            partial(draw_distance, tables=tables, network=network),
            f"{distance} of {network} over network evaluations",
        )
        for network in DAMAGED
    )
    cost = tables["cost"]
    sections = (
        Section(
            "Likelihood bound above the full network's, held out",
            (
                "Nats. All corrections are made with as many network evaluations. Negative is better than "
                "full precision without calibration.",
            ),
            losses,
            tables=(_by_correction(tables["above_full"], "+.3f", "Nats above the full network"),),
        ),
        Section(
            f"{distance} of samples",
            (f"Other real images are at {floor:.3f}.",),
            distances,
            tables=(
                _by_correction(
                    tables["frechet_compared"],
                    ".3f",
                    f"{distance} at {counted(tables['compared'], 'evaluation')}",
                ),
                _over_evaluations(tables, f"{distance} over evaluations"),
            ),
        ),
        Section("Few images", tables=(_few_table(tables["few"]),)),
        Section(
            "Cost",
            (
                f"Order 1 takes {100 * (cost['ratio'] - 1):.1f} % more processor time to sample than no "
                f"calibration, and its calibration {cost['calibrate_order_1']:.2f} s where order 0 takes "
                f"{cost['calibrate_order_0']:.2f} s.",
            ),
        ),
        origin.section(
            plan.checkpoint.fingerprint,
            {
                name: tables[name]
                for name in ("images", "held_out", "times", "seeds", "samples", "solver")
            },
        ),
    )
    return Report(
        "repair-study", f"Repair of {tables['checkpoint']}, rounded to 8, 4 and 3 bits", _verdict(tables),
        _summary(tables), asdict(study) | {"tables": tables}, sections, ("repair-study.png",),
        columns=len(DAMAGED),
    )  # fmt: skip


def _verdict(tables: dict[str, Any]) -> Verdict:
    """Which correction brings samples nearest, for each network."""
    nearest = []
    for k, network in enumerate(tables["networks"]):
        known = [row for row in tables["frechet_compared"] if row["cells"][k]]
        best = min(known, key=partial(_distance, k))
        others = [row["cells"][k]["lower"] for row in known if row is not best]
        apart = best["cells"][k]["upper"] < min(others, default=math.inf)
        doubt = "" if apart else ", intervals overlap"
        nearest.append(f"{network} {best['correction']} ({best['cells'][k]['value']:.3g}{doubt})")
    at = counted(tables["compared"], "evaluation")
    return Verdict(f"Nearest to real images at {at}, of each network: {', '.join(nearest)}.")


def _distance(k: int, row: dict[str, Any]) -> float:
    return float(row["cells"][k]["value"])


def _cell(value: dict[str, float] | None, form: str) -> str | Cell:
    if value is None:
        return "–"
    return Cell(f"{value['value']:{form}}", beside=f"± {value['upper'] - value['value']:.2g}")


def _by_correction(rows: Rows, form: str, caption: str) -> Table:
    return Table(
        ("correction", *NETWORKS),
        [[row["correction"], *(_cell(value, form) for value in row["cells"])] for row in rows],
        caption,
    )


def _over_evaluations(tables: dict[str, Any], caption: str) -> Table:
    return Table(
        ("network", "evaluations", *tables["main"]),
        [
            [row["network"], str(row["nfe"]), *(_cell(value, ".3f") for value in row["cells"])]
            for row in tables["frechet"]
        ],
        caption, folded=True,
    )  # fmt: skip


def _few_table(few: dict[str, Any]) -> Table:
    rows = [
        [row["network"], row["policy"], f"{row['median']:.3f}", f"{row['least']:.3f}",
         Cell(str(row["harmed"]), BAD if row["harmed"] else PLAIN)]
        for row in few["rows"]
    ]  # fmt: skip
    return Table(
        ("network", "policy", "median", "least", "whole interval below zero"), rows,
        f"Order 1 from {few['images']} images: fall of the bound in nats, {few['choices']} choices of images",
    )  # fmt: skip


def _tables(plan: RepairStudyPlan, study: RepairStudy) -> dict[str, Any]:
    """What the page shows."""
    above = [row | {"value": row["above_full"]["value"]} for row in study.losses]
    samples = [row | {"value": row["frechet"]} for row in study.samples]
    compared, corrections = plan.compared, names_in(study.losses, "correction")
    return {
        "checkpoint": plan.checkpoint.reference,
        "images": len(plan.images),
        "held_out": len(plan.held_out),
        "times": len(plan.times),
        "seeds": len(plan.seeds),
        "samples": plan.samples,
        "solver": plan.solver,
        "confidence": LEVEL,
        "compared": compared,
        "networks": list(NETWORKS),
        "main": MAIN,
        "above_full": _by_network(above, corrections),
        "frechet": [
            {
                "nfe": nfe,
                "network": n,
                "cells": [_mean(samples, network=n, correction=c, nfe=nfe) for c in MAIN],
            }
            for nfe in names_in(samples, "nfe")
            for n in NETWORKS
        ],
        "frechet_compared": _by_network(rows_where(samples, nfe=compared), corrections),
        "few": {"images": plan.few, "choices": plan.few_seeds, "rows": _few(study.few)},
        "cost": study.cost,
    }


def _by_network(rows: Rows, corrections: list[str]) -> Rows:
    return [
        {"correction": c, "cells": [_mean(rows, network=n, correction=c) for n in NETWORKS]}
        for c in corrections
    ]


def _mean(rows: Rows, **wanted: Any) -> dict[str, float] | None:
    """The mean over seeds, and its interval; None of nothing."""
    values = [row["value"] for row in rows_where(rows, **wanted)]
    return vars(Estimate.of_mean(torch.tensor(values, dtype=torch.float64))) if values else None


def _few(rows: Rows) -> Rows:
    """Per network and policy: median and least fall, and how often its whole interval is below zero."""
    found = []
    for network, policy in dict.fromkeys((row["network"], row["policy"]) for row in rows):
        falls = [row["fall"] for row in rows_where(rows, network=network, policy=policy)]
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


def _summary(tables: dict[str, Any]) -> list[str]:
    lines = [
        f"{tables['distance']} of {tables['samples']} samples, {counted(tables['compared'], 'evaluation')}:"
    ]
    for row in tables["frechet_compared"]:
        cells = zip(tables["networks"], row["cells"], strict=True)
        values = ", ".join(f"{n} {cell['value']:.3g}" for n, cell in cells if cell)
        if values:
            lines.append(f"  {row['correction']}: {values}")
    return [*lines, f"order 1 adds {tables['cost']['ratio'] - 1:.1%} to sampling time"]


def draw_relative_loss(ax: Axes, log_snr: list[float], losses: Rows, network: str) -> None:
    """Held-out loss over log-SNR as a multiple of the full network's, mean over seeds."""
    full = _mean_loss(losses, network=FULL, correction=NONE)
    for name in MAIN:
        relative = _mean_loss(losses, network=network, correction=name) / full
        ax.semilogy(log_snr, relative.tolist(), color=COLOURS[name], lw=1.2, label=name)
    ax.axhline(1, color="black", lw=0.6)
    ax.set(xlabel="log-SNR", title=f"{network}: loss / full precision's")
    ax.legend()


def _mean_loss(losses: Rows, **wanted: Any) -> torch.Tensor:
    return torch.tensor([row["loss"] for row in rows_where(losses, **wanted)]).mean(0)


def draw_distance(ax: Axes, tables: dict[str, Any], network: str) -> None:
    """Frechet distance over evaluations; dashed, that of the full network without correction."""
    rows, full = (rows_where(tables["frechet"], network=n) for n in (network, FULL))
    nfe = [row["nfe"] for row in rows]
    for k, name in enumerate(MAIN):
        values = [row["cells"][k]["value"] for row in rows]
        ax.plot(nfe, values, "o-", ms=3, lw=1.2, color=COLOURS[name], label=name)
    values = [row["cells"][0]["value"] for row in full]
    ax.plot(nfe, values, "--", color=GREY, lw=1.2, label="full, none")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("{x:.3g}")
    tick_evaluations(ax, nfe)
    ax.set(xlabel="network evaluations per sample", title=f"{network}: {tables['distance']}")
    ax.legend()
