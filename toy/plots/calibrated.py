"""What calibration does to the divergences whose bound it lowers."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE
from toy.figures.calibrated import Calibrated
from toy.plots.common import SMALL, legend_below

WAYS = {
    "kl_sde": (BLUE, "-", "o", "KL, SDE"),
    "kl_ode": (ORANGE, "-", "s", "KL, ODE"),
    "j_fisher": (GREY, "-.", "", r"$J_\mathrm{Fisher}$"),
    "j_sm": ("black", "--", "", r"$J_\mathrm{SM}$, the bound"),
}


def draw_calibrated(axes: Sequence[Axes], result: Calibrated) -> None:
    """The change of each over the planted bias; above zero, calibration has made it worse."""
    panels = (
        (result.matched, "Exact prior mean:\nall fall"),
        (result.missed, "Signal left at $T$:\neither KL may rise"),
        (result.sloped, "Error of slope, exact $p_T$:\nthe ODE's KL may rise"),
    )
    for ax, (changes, title) in zip(axes, panels, strict=True):
        for name in (name for name in WAYS if name in changes.change):
            color, style, marker, label = WAYS[name]
            ax.plot(
                changes.bias, changes.change[name], color=color, ls=style, marker=marker, ms=2.5, lw=1.2,
                label=label,
            )  # fmt: skip
        low, high = ax.get_ylim()
        ax.axhline(0.0, color="black", lw=0.6)
        ax.axhspan(0.0, high, color=GREEN, alpha=0.12, lw=0)
        ax.set(xlabel="planted bias $b$", ylim=(low, high))
        ax.set_title(title, fontsize="small")
    axes[0].set_ylabel("calibrated $-$ uncalibrated, nats")
    axes[1].text(
        0.98, 0.98, "rises", transform=axes[1].transAxes, ha="right", va="top", fontsize=SMALL,
        color=GREEN,
    )  # fmt: skip
    legend_below(axes[0], 4)
