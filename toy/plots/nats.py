"""Divergences against their bounds, and the discrete bound against the continuous one."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from theory.support.plot_style import BLUE, ORANGE
from toy.figures.nats import Likelihood, Refinement
from toy.plots.common import LOOKS, MARKERS, legend_below, slope_line


def draw_likelihood(axes: Sequence[Axes], result: Likelihood) -> None:
    """KL of SDE and ODE under their bounds, over two families of misfits."""
    families = (
        (result.by_bias, r"bias $b$ of the score, in $\sigma_t/\alpha_t$"),
        (result.by_slope, r"slope $\kappa$ of the score"),
    )
    for ax, (family, name) in zip(axes, families, strict=True):
        x = family.parameter
        ax.plot(x, family.sde_bound, color=BLUE, ls="--", label=r"SDE bound")
        ax.plot(x, family.sde, color=BLUE, marker="o", ms=3, lw=1, label="KL, SDE")
        ax.plot(x, family.ode_bound, color=ORANGE, ls="--", label=r"ODE bound")
        ax.plot(x, family.ode, color=ORANGE, marker="s", ms=3, lw=1, label="KL, ODE")
        ax.set(xlabel=name, ylim=(0, None))
    axes[0].set_ylabel(r"$\mathrm{KL}(q_s\,\|\,p_s)$, nats")
    legend_below(axes[0], 4)


def draw_refinement(axes: Sequence[Axes], result: Refinement) -> None:
    """Error of the discrete bound over the number of steps, and the order seen."""
    left, right = axes
    steps = result.steps.double()
    for (name, error), (color, _), marker in zip(
        result.error.items(), LOOKS, MARKERS, strict=False
    ):
        left.loglog(steps, error, color=color, marker=marker, ms=3, lw=1, label=name)
        right.semilogx(steps[1:], result.order[name], color=color, marker=marker, ms=3, lw=1)
    lowest = min(error[0].item() for error in result.error.values())
    slope_line(left, steps, lowest / 4, -1.0, "order 1")
    right.axhline(1.0, color="black", lw=0.8, ls=":")
    left.set(xlabel="steps $n$", ylabel="relative error", title="Discrete bound")
    right.set(xlabel="steps $n$", ylabel="$\\log_2$ of the error's ratio", title="Observed order")
    legend_below(left, 4)
