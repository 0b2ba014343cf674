"""The theory figures. A drawing function takes axes and a result, and computes nothing."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from theory.style import BLUE, GREEN, GREY, ORANGE, STYLE
from toy.figures import Paths, Recovery, Residuals


def draw_paths(ax: Axes, paths: Paths, shown: int = 60) -> None:
    """Some paths of M_t, their mean over all, and the value that the mean must keep."""
    times, values = paths.times, paths.values.numpy()
    ax.plot(times, values[:, :shown], color=GREY, lw=0.5, alpha=0.5)
    mean, error = values.mean(1), values.std(1) / values.shape[1] ** 0.5
    ax.axhline(paths.start, color=ORANGE, lw=2, label="$M_T(x_T)$")
    ax.plot(times, mean, color=BLUE, lw=1.5, label=f"mean of {values.shape[1]:,} paths")
    ax.plot(
        times, paths.without_alpha.numpy(), color=GREEN, lw=1.5, ls="--",
        label=r"mean without the factor $\alpha_t$",
    )  # fmt: skip
    ax.fill_between(times, mean - 2 * error, mean + 2 * error, color=BLUE, alpha=0.3, lw=0)
    ax.invert_xaxis()
    ax.set(
        xlabel="time $t$ (the reverse process runs to the right)",
        ylabel=r"$M_t=\alpha_t\,\nabla\log q_t(x_t)$",
        title="The scaled score is a martingale of the reverse process",
    )
    ax.legend(loc="upper left")


def draw_residuals(axes: tuple[Axes, Axes], result: Residuals) -> None:
    """Relative residual over (s, t): the martingale, and the score without its factor alpha."""
    ends = result.times[[0, -1]].tolist()
    norm = LogNorm(1e-17, 1)
    pairs = (
        (result.martingale, r"$\alpha_t\nabla\log q_t$"),
        (result.without_alpha, r"$\nabla\log q_t$ (no $\alpha_t$)"),
    )
    for ax, (values, name) in zip(axes, pairs, strict=True):
        image = ax.imshow(
            np.maximum(values.numpy().T, 1e-17), origin="lower", extent=(*ends, *ends),
            norm=norm, cmap="cividis", aspect="equal",
        )  # fmt: skip
        ax.set(xlabel="$s$", ylabel="$t$", title=name)
    axes[0].figure.colorbar(
        image, ax=list(axes), label=r"$|E[M_s|x_t]-M_t|\,/\,E[|M_s|\,|x_t]$", shrink=0.9
    )


def draw_recovery(axes: tuple[Axes, Axes], result: Recovery) -> None:
    """|eta|^2 planted and recovered, and the error energy of two estimators."""
    times = result.times.numpy()
    value, lower, upper = result.recovered.numpy().T
    left, right = axes
    left.plot(times, result.planted.numpy(), color=ORANGE, lw=2, label="planted")
    left.errorbar(
        times, value, (value - lower, upper - value), fmt="o", ms=3, lw=1, color=BLUE,
        label="recovered, 95 %",
    )  # fmt: skip
    left.set(xlabel="time $t$", ylabel=r"$|\eta_t|^2$", title="Planted and recovered bias")
    left.legend()
    right.semilogy(
        times, result.plain_error.numpy(), color=GREY, marker="s", ms=3, label="plain average"
    )
    right.semilogy(times, result.error.numpy(), color=BLUE, marker="o", ms=3, label="residual")
    right.set(xlabel="time $t$", ylabel=r"$|\hat\eta_t-\eta_t|^2$", title="Error at equal cost")
    right.legend()


def save_all(out: Path, paths: Paths, residuals: Residuals, recovery: Recovery) -> list[str]:
    """Write every figure as PNG and PDF; returns the file names."""
    written = []
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.5, 3.4))
        draw_paths(figure.subplots(), paths)
        written += _save(figure, out, "score_paths")
        figure = Figure(figsize=(6.5, 3.0))
        draw_residuals(tuple(figure.subplots(1, 2)), residuals)
        written += _save(figure, out, "martingale_residual")
        figure = Figure(figsize=(6.5, 2.9))
        draw_recovery(tuple(figure.subplots(1, 2)), recovery)
        written += _save(figure, out, "planted_and_recovered")
    return written


def _save(figure: Figure, out: Path, name: str) -> list[str]:
    names = [f"{name}.png", f"{name}.pdf"]
    for file in names:
        figure.savefig(out / file)
    return names
