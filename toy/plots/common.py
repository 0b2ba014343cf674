"""What several figures draw."""

from matplotlib.axes import Axes
from torch import Tensor

from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE
from toy.figures.common import Bundle, Frequencies

COLOURS = (BLUE, ORANGE, GREEN, GREY)
LOOKS = [(BLUE, "-"), (ORANGE, "-"), (GREEN, "-"), (GREY, "--"), (BLUE, "--"), (ORANGE, "--")]
"""Colour and line style of up to six curves."""

MARKERS = ("o", "s", "^", "D", "v", "P")
SMALL = 7.5
"""Font size of legends that share a panel with data."""


def draw_bundle(ax: Axes, bundle: Bundle, start: float, label: str) -> None:
    """Some paths, the mean of all with two standard errors, and the value that it must keep."""
    times, mean, error = bundle.times, bundle.mean, bundle.error
    ax.plot(times, bundle.shown, color=GREY, lw=0.5, alpha=0.4)
    ax.axhline(start, color=ORANGE, lw=2.5, label=label)
    ax.plot(times, mean, color=BLUE, lw=1.3, label=f"mean of {bundle.count:,} paths")
    ax.fill_between(times, mean - 2 * error, mean + 2 * error, color=BLUE, alpha=0.3, lw=0)
    ax.invert_xaxis()


def draw_frequencies(ax: Axes, seen: Frequencies, color: str, marker: str, label: str) -> None:
    """Shares that were seen at all, with their intervals."""
    some = seen.share > 0
    share, lower, upper = seen.share[some], seen.lower[some], seen.upper[some]
    ax.errorbar(
        seen.eps[some], share, (share - lower, upper - share),
        fmt=marker, ms=3.5, lw=0.8, color=color, mfc="white", label=label, zorder=3,
    )  # fmt: skip


def slope_line(
    ax: Axes, x: Tensor, start: float, power: float, label: str, style: str = ":"
) -> None:
    """A power of x from a value at its first point."""
    ax.plot(x, start * (x / x[0]) ** power, color="black", lw=0.8, ls=style, label=label)


def legend_of_suprema(ax: Axes) -> None:
    """A legend that says which side of a path's supremum, which bounds are for, a grid's errs on."""
    ax.legend(fontsize=SMALL, loc="lower left", title="a grid errs low", title_fontsize=SMALL)


def legend_below(ax: Axes, columns: int) -> None:
    """A legend of the whole figure, under its panels."""
    handles, labels = ax.get_legend_handles_labels()
    figure = ax.figure
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=SMALL)
