"""Tails against their bounds, and optional stopping."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE
from toy.figures.bounds import Azuma, Stopping, Tails
from toy.plots.common import SMALL, draw_frequencies, legend_of_suprema


def draw_tails(axes: Sequence[Axes], result: Tails) -> None:
    """The supremum of one direction under Freedman's bound, and of |M| under Doob's.

    The closed forms are of the whole path, the frequencies of a grid.
    """
    left, right = axes
    left.semilogy(result.eps, result.bound, color=ORANGE, lw=2, label=r"$e^{-\epsilon^2/2V}$")
    left.plot(result.eps, result.exact, color=BLUE, label="Gaussian, exact")
    draw_frequencies(left, result.gaussian, BLUE, "o", "Gaussian, grid")
    draw_frequencies(left, result.mixture, GREEN, "s", "mixture, $d=8$, grid")
    left.set(
        xlabel=r"$\epsilon/\sqrt{V}$", ylabel=r"$P(\sup_r u\cdot(M_r-M_T)\geq\epsilon\,|\,x_T)$",
        title="Quadratic variation", ylim=(3e-5, 2),
    )  # fmt: skip
    for (p, bound), style in zip(result.doob.items(), (":", "-.", "--", "-"), strict=True):
        right.semilogy(result.eps, bound, color=ORANGE, ls=style, lw=1.2, label=f"Doob, $p={p}$")
    right.plot(result.eps, result.exact_absolute, color=BLUE, label="Gaussian, exact")
    draw_frequencies(right, result.absolute, BLUE, "o", "Gaussian, grid")
    right.set(
        xlabel=r"$\epsilon/\sqrt{E|M_s|^2}$", ylabel=r"$P(\sup_r|M_r|\geq\epsilon)$",
        title="Doob", ylim=(3e-5, 2),
    )  # fmt: skip
    for ax in axes:
        legend_of_suprema(ax)


def draw_azuma(axes: Sequence[Axes], result: Azuma) -> None:
    """The inequality where it holds, and where its assumption fails."""
    (ax,) = axes
    ax.semilogy(
        result.eps, result.bound, color=ORANGE, lw=2,
        label=rf"Azuma–Hoeffding: $2e^{{-2\cdot{result.group}\,\epsilon^2}}$",
    )  # fmt: skip
    draw_frequencies(ax, result.probability, BLUE, "o", "$P(k|x_t)$, in $[0,1]$")
    draw_frequencies(ax, result.score, GREY, "s", "score (unbounded: the assumption fails)")
    ax.set(
        xlabel=r"$\epsilon$",
        ylabel=rf"$P(|$mean of {result.group}$|\geq\epsilon)$",
        title="Azuma–Hoeffding is for bounded martingales only",
        ylim=(5e-5, 3),
    )
    ax.legend(loc="lower left", fontsize=SMALL)


def draw_stopping(axes: Sequence[Axes], result: Stopping) -> None:
    """The mean gain at every rule, with its interval."""
    (ax,) = axes
    honest = np.array(result.honest)
    places = np.arange(len(honest))
    kinds = ((honest, BLUE, "o", "stopping times"), (~honest, ORANGE, "s", "look ahead"))
    ax.axvline(0.0, color=GREY, lw=0.8, ls="--")
    for some, color, marker, label in kinds:
        ax.errorbar(
            result.values.numpy()[some], places[some], xerr=result.errors.numpy()[some],
            fmt=marker, ms=4, lw=1.2, capsize=2, color=color, label=f"{label}, 99 %",
        )  # fmt: skip
    ax.set_yticks(places, result.names)
    ax.invert_yaxis()
    ax.set(
        xlabel=r"$u\cdot(E[M_\tau\,|\,x_T]-M_T)$",
        title=f"Optional stopping, {result.count:,} paths, $d=8$",
    )
    ax.legend(fontsize=SMALL)
