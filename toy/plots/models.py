"""Models with planted error."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from theory.support.plot_style import BLUE, GREEN, GREY, ORANGE
from toy.figures.models import Guidance, Loss, Recovery
from toy.plots.common import LOOKS, MARKERS, SMALL, legend_below

WAYS = {
    "exact": ("black", "-", "exact"),
    "uncalibrated": (GREY, "-.", "uncalibrated"),
    "own": (BLUE, "-", "each branch, own law"),
    "wrong": (ORANGE, "--", "both under $q_t(x|c)$"),
}


def draw_loss(axes: Sequence[Axes], result: Loss) -> None:
    """Loss over the shift, its optimum at eta; then all of them on one parabola."""
    left, right = axes
    right.plot(result.ratios, result.parabola, color="black", lw=0.8)
    for (name, values), (color, style), marker in zip(
        result.losses.items(), LOOKS, MARKERS, strict=False
    ):
        left.plot(result.shifts, values, color=color, ls=style, lw=1.2)
        left.plot(result.eta[name], result.least[name], color=color, marker=marker, ms=4)
        right.plot(
            result.ratios, result.falls[name], color=color, marker=marker, ms=3 + MARKERS.index(marker),
            mfc="none", ls="", label=name,
        )  # fmt: skip
    left.set(
        xlabel="shift $c$", ylabel=r"$E|y_\theta-c-E[y|x_t]|^2$",
        title=r"Least at $c=\eta_t$", ylim=(-0.03, 1),
    )  # fmt: skip
    right.set(
        xlabel=r"$c/\eta_t$", ylabel=r"$(L(c)-L(0))/|\eta_t|^2$",
        title=r"$r^2-2r$ for $r=c/\eta_t$",
    )  # fmt: skip
    legend_below(right, 6)


def draw_guidance(axes: Sequence[Axes], result: Guidance) -> None:
    """Guided predictions over x at one scale, and their errors over all scales."""
    left, right = axes
    for name, values in result.predictions.items():
        color, style, label = WAYS[name]
        left.plot(result.x, values, color=color, ls=style, lw=1.3, label=label)
    for name, values in result.errors.items():
        color, style, _ = WAYS[name]
        right.plot(result.scales, values, color=color, ls=style, lw=1.3)
    low, high = left.get_ylim()
    height = 0.2 * (high - low) / result.density.max()
    left.fill_between(result.x, low, low + height * result.density, color=GREEN, alpha=0.25, lw=0)
    left.text(
        result.x[result.density.argmax()].item(), low + 0.01 * (high - low), "$q_t(x|c)$", ha="center",
        va="bottom", fontsize=SMALL,
    )  # fmt: skip
    left.set(
        xlabel="$x_t$", ylabel="guided noise prediction", ylim=(low, high),
        title=f"Guidance scale {result.scale:g}",
    )  # fmt: skip
    right.set(
        xlabel="guidance scale $w$", ylabel="root mean square error", ylim=(0, None),
        title="Error under $q_t(x|c)$",
    )  # fmt: skip
    legend_below(left, 4)


def draw_recovery(axes: Sequence[Axes], result: Recovery) -> None:
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
    right.semilogy(times, result.error.numpy(), color=BLUE, marker="o", ms=3, label="this toolkit")
    right.set(xlabel="time $t$", ylabel=r"$|\hat\eta_t-\eta_t|^2$", title="Error at equal cost")
    right.legend()
