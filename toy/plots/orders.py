"""Order 0 against order 1."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from theory.support.plot_style import BLUE, GREY, ORANGE
from toy.figures.orders import Orders
from toy.plots.common import legend_below

WAYS = {
    "none": (GREY, "-.", "uncalibrated"),
    "constant": (ORANGE, "--", "constant"),
    "affine": (BLUE, "-", "affine"),
}


def draw_orders(axes: Sequence[Axes], result: Orders) -> None:
    """The denoising loss, and the part of it that is the model's own."""
    left, right = axes
    left.plot(result.log_snr, result.least, color="black", lw=1.3, ls=":", zorder=3, label="exact")
    for name, excess in result.excess.items():
        color, style, label = WAYS[name]
        left.plot(result.log_snr, result.least + excess, color=color, ls=style, lw=1.3, label=label)
        right.semilogy(result.log_snr, excess, color=color, ls=style, lw=1.3)
    left.set(
        xlabel=r"$\log\mathrm{SNR}$", ylabel=r"$E|e_\theta-e|^2$", title="Denoising loss"
    )  # fmt: skip
    right.set(
        xlabel=r"$\log\mathrm{SNR}$", ylabel=r"$E|e_\theta-E[e|x_t]|^2$",
        title="The model's own part",
    )  # fmt: skip
    legend_below(left, 4)
