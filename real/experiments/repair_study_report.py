"""The report of the study of repair: means over the seeds, with Student's intervals."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from real.experiments.repair_study import (
    COMPARED,
    FULL,
    MAIN,
    NETWORKS,
    NONE,
    ORDER_0,
    ORDER_1,
    PLAIN_AVERAGE,
    RepairStudy,
    RepairStudyPlan,
)
from real.experiments.study_plan import Rows
from real.reports.axes import tick_evaluations
from real.reports.page import Report
from theory.statistics.intervals import LEVEL, Estimate
from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE, PINK

COLOURS = {NONE: ORANGE, PLAIN_AVERAGE: PINK, ORDER_0: GREEN, ORDER_1: BLUE}
DAMAGED = [name for name in NETWORKS if name != FULL]


@dataclass(frozen=True)
class RepairStudyReport(Report):
    """Held-out loss and Frechet distance of every network under every correction.

    Attributes:
        log_snr: of the times.
    """

    log_snr: list[float]
    name = "repair-study"
    figures = ("repair-study.png",)
    size = (10.0, 6.0)
    template = "repair-study.html.j2"

    @classmethod
    def of(
        cls, plan: RepairStudyPlan, study: RepairStudy, distance: str, floor: float
    ) -> "RepairStudyReport":
        """The report of a study.

        Args:
            plan: what was done.
            study: what was found.
            distance: what the Frechet distance is called.
            floor: that of other real images.
        """
        tables = _tables(plan, study) | {"distance": distance, "floor": floor}
        log_snr = plan.checkpoint.schedule.log_snr(plan.times).tolist()
        return cls(asdict(study) | {"tables": tables}, log_snr)

    def page(self) -> dict[str, Any]:
        """The tables."""
        return self.numbers["tables"]

    def draw(self, figure: Figure) -> None:
        """Loss above, distance below; a column for each damaged network."""
        panels = figure.subplots(2, len(DAMAGED))
        for k, network in enumerate(DAMAGED):
            self.draw_loss(panels[0, k], network)
            self.draw_frechet(panels[1, k], network)
        panels[0, 0].legend()
        panels[1, 0].legend()

    def draw_loss(self, ax: Axes, network: str) -> None:
        """Held-out loss over log-SNR as a multiple of the full network's, mean over seeds."""
        full = _mean_loss(self.numbers["losses"], FULL, NONE)
        for name in MAIN:
            relative = (_mean_loss(self.numbers["losses"], network, name) / full).tolist()
            ax.semilogy(self.log_snr, relative, color=COLOURS[name], lw=1.2, label=name)
        ax.axhline(1, color="black", lw=0.6)
        ax.set(xlabel="log-SNR", title=f"{network}: loss / full precision's")

    def draw_frechet(self, ax: Axes, network: str) -> None:
        """Frechet distance over evaluations; dashed, that of the uncorrected full network."""
        tables = self.page()
        rows = [row for row in tables["frechet"] if row["network"] == network]
        full = [row["cells"][0]["value"] for row in tables["frechet"] if row["network"] == FULL]
        nfe = [row["nfe"] for row in rows]
        for k, name in enumerate(MAIN):
            values = [row["cells"][k]["value"] for row in rows]
            ax.plot(nfe, values, "o-", ms=3, lw=1.2, color=COLOURS[name], label=name)
        ax.plot(nfe, full, "--", color=GREY, lw=1.2, label="full, none")
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("{x:.3g}")
        tick_evaluations(ax, nfe)
        ax.set(xlabel="network evaluations per sample", title=f"{network}: {tables['distance']}")

    def summary(self) -> list[str]:
        """The distances at the number of evaluations at which all are compared, and the cost."""
        shown = self.page()
        lines = [
            f"{shown['distance']} of {shown['samples']} samples, {shown['compared']} evaluations:"
        ]
        for row in shown["frechet_compared"]:
            cells = zip(shown["networks"], row["cells"], strict=True)
            values = ", ".join(f"{n} {cell['value']:.3g}" for n, cell in cells if cell)
            if values:
                lines.append(f"  {row['correction']}: {values}")
        lines.append(f"order 1 adds {shown['cost']['ratio'] - 1:.1%} to sampling time")
        return lines


def _tables(plan: RepairStudyPlan, study: RepairStudy) -> dict[str, Any]:
    """What the page shows."""
    compared = list(dict.fromkeys(row["correction"] for row in study.losses))
    return {
        "checkpoint": plan.checkpoint.reference,
        "images": len(plan.images),
        "held_out": len(plan.held_out),
        "times": len(plan.times),
        "seeds": len(plan.seeds),
        "samples": plan.samples,
        "solver": plan.solver,
        "confidence": LEVEL,
        "compared": COMPARED,
        "networks": list(NETWORKS),
        "main": MAIN,
        "above_full": [
            {
                "correction": name,
                "cells": [_above(study.losses, network=n, correction=name) for n in NETWORKS],
            }
            for name in compared
        ],
        "frechet": [
            {
                "nfe": nfe,
                "network": n,
                "cells": [
                    _frechet(study.samples, network=n, correction=name, nfe=nfe) for name in MAIN
                ],
            }
            for nfe in dict.fromkeys(row["nfe"] for row in study.samples)
            for n in NETWORKS
        ],
        "frechet_compared": [
            {
                "correction": name,
                "cells": [
                    _frechet(study.samples, network=n, correction=name, nfe=COMPARED)
                    for n in NETWORKS
                ],
            }
            for name in compared
        ],
        "few": {"images": plan.few, "choices": plan.few_seeds, "rows": _few(study.few)},
        "cost": study.cost,
    }


def _where(rows: Rows, **wanted: Any) -> Rows:
    """The rows that have these values."""
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def _above(rows: Rows, **wanted: Any) -> dict[str, float] | None:
    return _over_seeds([row["above_full"]["value"] for row in _where(rows, **wanted)])


def _frechet(rows: Rows, **wanted: Any) -> dict[str, float] | None:
    return _over_seeds([row["frechet"] for row in _where(rows, **wanted)])


def _over_seeds(values: list[float]) -> dict[str, float] | None:
    """The mean over seeds, and its interval; None of nothing."""
    return vars(Estimate.of_mean(torch.tensor(values, dtype=torch.float64))) if values else None


def _few(rows: Rows) -> list[dict[str, Any]]:
    """Per network and policy: median and least fall, and how often its whole interval is below zero."""
    found = []
    for network, policy in dict.fromkeys((row["network"], row["policy"]) for row in rows):
        falls = [row["fall"] for row in _where(rows, network=network, policy=policy)]
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


def _mean_loss(rows: Rows, network: str, correction: str) -> torch.Tensor:
    losses = [row["loss"] for row in _where(rows, network=network, correction=correction)]
    return torch.tensor(losses).mean(0)
