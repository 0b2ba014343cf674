"""The figure of sample quality, from its numbers. Nothing is computed here."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from real.reports.page import tick_evaluations
from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE

LINES = (("before", ORANGE, "s", 0.97), ("after", BLUE, "o", 1.03))
LABELS = {"before": "without calibration", "after": "with calibration"}


def draw_measure(ax: Axes, report: Mapping[str, Any], name: str, label: str) -> None:
    """A measure over evaluations, without and with calibration; real images as a dashed line."""
    for which, colour, marker, aside in LINES:
        nfe, value, lower, upper = _columns(report, name, which)
        ax.vlines(nfe * aside, lower, upper, color=colour, lw=1)
        ax.plot(nfe * aside, value, marker=marker, ms=3, lw=1, color=colour, label=LABELS[which])
    ax.axhline(report["real_images"][name], color=GREY, lw=0.8, ls="--", label="real images")
    ax.set_title(label)
    ax.legend(title=f"{report['confidence']:.0%} over {len(report['seeds'])} seeds")
    _over_evaluations(ax, report)


def draw_change(ax: Axes, report: Mapping[str, Any], name: str) -> None:
    """The paired change of a measure by calibration."""
    nfe, value, lower, upper = _columns(report, name, "change")
    ax.axhline(0, color="black", lw=0.6)
    ax.vlines(nfe, lower, upper, color=GREEN, lw=1)
    ax.plot(nfe, value, "o-", ms=3, lw=1, color=GREEN)
    ax.set_title("Its change by calibration, same noise")
    _over_evaluations(ax, report)


def _over_evaluations(ax: Axes, report: Mapping[str, Any]) -> None:
    tick_evaluations(ax, [row["nfe"] for row in report["over_seeds"]])
    ax.minorticks_off()
    ax.set_xlabel(f"network evaluations per sample ({report['solver']})")


def _columns(report: Mapping[str, Any], name: str, which: str) -> list[np.ndarray]:
    rows = [(row["nfe"], row[name][which]) for row in report["over_seeds"]]
    return [
        np.array([nfe for nfe, _ in rows], dtype=float),
        *(np.array([row[part] for _, row in rows]) for part in ("value", "lower", "upper")),
    ]
