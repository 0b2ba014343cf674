"""Martingales of the reverse process."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from theory.support.plot_style import BLUE, GREEN, ORANGE
from toy.figures.martingales import PosteriorPaths, Residuals, ScorePaths, Tower, Translation
from toy.plots.common import (
    COLOURS,
    MARKERS,
    SMALL,
    draw_bundle,
    draw_frequencies,
    legend_below,
    legend_of_suprema,
)

REVERSED = r"time $t$ (reverse process $\rightarrow$)"
FLOOR = 1e-17


def draw_score_paths(axes: Sequence[Axes], result: ScorePaths) -> None:
    """Some paths of M_t, their mean over all, and the value that the mean must keep."""
    (ax,) = axes
    draw_bundle(ax, result.paths, result.start, "$M_T(x_T)$")
    ax.plot(
        result.paths.times, result.without_alpha, color=GREEN, lw=1.5, ls="--",
        label=r"mean without the factor $\alpha_t$",
    )  # fmt: skip
    ax.set(
        xlabel=REVERSED,
        ylabel=r"$M_t=\alpha_t\,\nabla\log q_t(x_t)$",
        title="The scaled score is a martingale of the reverse process",
    )
    ax.legend(loc="upper left")


def draw_residuals(axes: Sequence[Axes], result: Residuals) -> None:
    """Relative residual over (s, t): the martingale, and the score without its factor alpha."""
    low, high = result.times[[0, -1]].tolist()
    pairs = (
        (result.martingale, r"$\alpha_t\nabla\log q_t$"),
        (result.without_alpha, r"$\nabla\log q_t$ (no $\alpha_t$)"),
    )
    for ax, (values, name) in zip(axes, pairs, strict=True):
        image = ax.imshow(
            np.maximum(values.numpy().T, FLOOR), origin="lower", extent=(low, high, low, high),
            norm=LogNorm(FLOOR, 1), cmap="cividis", aspect="equal",
        )  # fmt: skip
        ax.set(xlabel="$s$", ylabel="$t$", title=name)
    axes[0].figure.colorbar(
        image, ax=list(axes), label=r"$|E[M_s|x_t]-M_t|\,/\,E[|M_s|\,|x_t]$", shrink=0.9
    )


def draw_posterior(axes: Sequence[Axes], result: PosteriorPaths) -> None:
    """Posterior mean and component probability along the same paths."""
    left, right = axes
    draw_bundle(left, result.mean, result.starts[0], "value at $x_T$")
    left.plot(
        result.mean.times, result.rescaled, color=GREEN, lw=1.3, ls="--",
        label=r"mean of $x_t/\alpha_t$",
    )  # fmt: skip
    draw_bundle(right, result.probability, result.starts[1], "value at $x_T$")
    left.set(xlabel=REVERSED, ylabel=r"$E[x_0\,|\,x_t]$", title="Posterior mean")
    right.set(xlabel=REVERSED, ylabel=r"$P(k{=}1\,|\,x_t)$", title="Posterior probability")
    legend_below(left, 3)


def draw_tower(axes: Sequence[Axes], result: Tower) -> None:
    """Residuals of three orders, and with a power of alpha too few."""
    (ax,) = axes
    rows = zip(result.residuals, result.power_less, COLOURS, MARKERS, strict=False)
    for n, (exact, wrong, color, marker) in enumerate(rows, 1):
        power, less = (r"\alpha_t" if k == 1 else rf"\alpha_t^{k}" if k else "" for k in (n, n - 1))
        name = rf"q_t^{{({n})}}\!/q_t"
        ax.semilogy(
            result.times, exact.clamp(min=FLOOR), color=color, marker=marker, ms=3, lw=0.6,
            label=f"${power}\\,{name}$",
        )  # fmt: skip
        ax.semilogy(result.times, wrong, color=color, ls="--", label=f"${less}\\,{name}$")
    ax.set(
        xlabel=f"$s$, for $t={result.t:g}$",
        ylabel=r"$|E[h_s|x_t]-h_t|\,/\,E[|h_s|\,|x_t]$",
        ylim=(FLOOR / 3, 30),
        title="Every derivative's order needs its own power of $\\alpha$",
    )
    legend_below(ax, 3)


def draw_translation(axes: Sequence[Axes], result: Translation) -> None:
    """Paths of L_t(h) around their mean of 1, and the tail of the supremum under 1/b."""
    left, right = axes
    draw_bundle(left, result.paths, 1.0, "its mean, 1")
    left.set(yscale="log", ylim=(1e-2, 60), xlabel=REVERSED, ylabel="$L_t(h)$")
    left.set_title(f"Translation, $h={result.h:g}$")
    left.legend(fontsize=SMALL, loc="upper left")
    right.loglog(result.levels, result.bound, color=ORANGE, lw=2, label="Ville: $1/b$")
    right.plot(result.levels, result.closed_form, color=BLUE, label="Gaussian, exact")
    draw_frequencies(right, result.gaussian, BLUE, "o", "Gaussian, grid")
    draw_frequencies(right, result.mixture, GREEN, "s", "mixture, grid")
    right.set(
        xlabel="level $b$", ylabel=r"$P(\sup_t L_t/L_T\geq b)$", title="Its supremum",
        ylim=(1e-4, 2),
    )  # fmt: skip
    legend_of_suprema(right)
