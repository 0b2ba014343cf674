"""The figure of a validation, from its numbers. Nothing is computed here."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE

LOG_SNR = r"log-SNR $\lambda_t$ (noise to the left)"


def draw_eta(ax: Axes, report: dict[str, Any]) -> None:
    """|eta|^2 of the network on held-out images, with a band, over the noise of a plain average."""
    lam, value, lower, upper, plain = _columns(
        report, "log_snr", "eta_sq", "eta_sq_lower", "eta_sq_upper", "plain_error_energy"
    )
    floor = 0.3 * np.min(np.abs(value[value != 0]), initial=1.0)
    low, high = np.maximum(lower, floor), np.maximum(upper, floor)
    ax.fill_between(lam, low, high, color=BLUE, alpha=0.25, lw=0)
    known = value > 0
    ax.plot(lam[known], value[known], "o", ms=3, color=BLUE, label=r"$|\eta_t|^2$, 95 %")
    ax.plot(lam, plain, color=ORANGE, lw=1, label="noise of a plain average")
    ax.set(yscale="log", ylim=(floor, None), xlabel=LOG_SNR, ylabel=r"$|\eta_t|^2$")
    ax.set_title("Mean error of the network")
    ax.legend()


def draw_gain(ax: Axes, report: dict[str, Any]) -> None:
    """Held-out fall of the denoising loss, in percent of it."""
    lam, gain, lower, upper, loss = _columns(
        report, "log_snr", "heldout_gain", "heldout_gain_lower", "heldout_gain_upper",
        "denoising_loss",
    )  # fmt: skip
    percent = 100 / loss
    ax.axhline(0, color=GREY, lw=0.8)
    ax.fill_between(lam, lower * percent, upper * percent, color=GREEN, alpha=0.25, lw=0)
    ax.plot(lam, gain * percent, "o", ms=3, color=GREEN, label="held out, 95 %")
    ax.set_yscale("symlog", linthresh=1)
    ax.set(xlabel=LOG_SNR, ylabel="fall of the loss (%)", title="Denoising loss after calibration")
    ax.legend()


def draw_error(ax: Axes, report: dict[str, Any]) -> None:
    """Error energy of the shift against that of the plain average over the same evaluations."""
    lam, error, plain = _columns(report, "log_snr", "error_energy", "plain_error_energy")
    ax.semilogy(lam, plain, color=ORANGE, marker="s", ms=3, lw=1, label="plain average (published)")
    ax.semilogy(lam, error, color=BLUE, marker="o", ms=3, lw=1, label="this toolkit")
    ax.set(xlabel=LOG_SNR, ylabel=r"$E|\hat\eta_t-\eta_t|^2$")
    ax.set_title("Error of the shift, equal cost")
    ax.legend()


def draw_line_check(ax: Axes, report: dict[str, Any]) -> None:
    """Squared error of the network over that of the best line in x_t; below 1 where it fits."""
    lam, network, line = _columns(report, "log_snr", "network_error", "line_error")
    ax.axhline(1, color=GREY, lw=0.8)
    ax.semilogy(lam, network / line, color=BLUE, marker="o", ms=3, lw=1)
    ax.set(xlabel=LOG_SNR, ylabel="error of the network / of a line")
    ax.set_title("Does it fit its description?")


def _columns(report: dict[str, Any], *names: str) -> list[np.ndarray]:
    return [np.array([row[name] for row in report["times"]], dtype=float) for name in names]
