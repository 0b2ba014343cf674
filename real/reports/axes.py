"""What the axes of several figures have in common."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter


def tick_evaluations(ax: Axes, nfe: Sequence[int]) -> None:
    """A logarithmic axis of network evaluations, with ticks where there are values."""
    ax.set_xscale("log")
    ax.set_xticks(nfe, [str(n) for n in nfe])
    ax.xaxis.set_minor_formatter(NullFormatter())
