"""The figure of a comparison of two networks, from its numbers. Nothing is computed here."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from real.reports.validation_figure import LOG_SNR
from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE

COLOURS = {"A": BLUE, "B": ORANGE}


def draw_losses(ax: Axes, report: dict[str, Any]) -> None:
    """Denoising loss of both networks over log-SNR."""
    for name, marker in (("A", "o"), ("B", "s")):
        log_snr, loss = _columns(report, "log_snr", f"loss_{name}")
        ax.semilogy(
            log_snr, loss, color=COLOURS[name], marker=marker, ms=3, lw=1,
            label=f"{name}: {report[name]['checkpoint'][-40:]}",
        )  # fmt: skip
    ax.set(xlabel=LOG_SNR, ylabel="squared error of the prediction", title="Denoising loss")
    ax.legend()


def draw_rise(ax: Axes, report: dict[str, Any]) -> None:
    """By how much the loss of B is higher, in percent of that of A, with intervals that hold at once."""
    log_snr, loss, *rise = _columns(report, "log_snr", "loss_A", "rise", "rise_lower", "rise_upper")
    value, lower, upper = (100 * x / loss for x in rise)
    ax.axhline(0, color=GREY, lw=0.8)
    for colour, chosen, label in (
        (ORANGE, lower > 0, "B is worse"),
        (GREEN, upper < 0, "B is better"),
        (GREY, ~((lower > 0) | (upper < 0)), "not certain"),
    ):
        if chosen.any():
            ax.vlines(log_snr[chosen], lower[chosen], upper[chosen], color=colour, lw=1)
            ax.plot(log_snr[chosen], value[chosen], "o", ms=3, color=colour, label=label)
    ax.set(xlabel=LOG_SNR, ylabel="rise of the loss from A to B (%)")
    ax.set_title("Same images, same noise")
    ax.legend(title=f"{report['confidence']:.0%} for all at once")


def draw_samples(ax: Axes, samples: dict[str, Any]) -> None:
    """The Frechet distances of both networks' samples, a line for each seed that both start from."""
    for seed in samples["seeds"]:
        pair = [
            row["frechet"] for name in ("A", "B") for row in samples["rows"]
            if (row["network"], row["seed"]) == (name, seed)
        ]  # fmt: skip
        ax.plot([0, 1], pair, "o-", ms=4, lw=1, color=BLUE)
    ax.axhline(
        samples["real_images"]["frechet"], color=GREY, lw=0.8, ls="--", label="other real images"
    )
    ax.set_xticks([0, 1], ["A", "B"])
    nfe = samples["over_seeds"][0]["nfe"]
    ax.set(xlim=(-0.3, 1.3), xlabel=f"{samples['solver']}, {nfe} evaluations per sample")
    ax.set(ylabel=samples["distance"], title="Samples from the same noise")
    ax.legend()


def _columns(report: dict[str, Any], *names: str) -> list[np.ndarray]:
    return [np.array([row[name] for row in report["times"]], dtype=float) for name in names]
