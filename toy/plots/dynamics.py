"""Schedules, the energy identity along them, and Euler and Maruyama's steps."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from theory.support.plot_style import GREY
from toy.figures.dynamics import Drift, Energy, Euler, Schedules
from toy.plots.common import LOOKS, MARKERS, SMALL, legend_below, slope_line


def draw_schedules(axes: Sequence[Axes], result: Schedules) -> None:
    """Log-SNR, alpha and sigma of every schedule."""
    names = (("log_snr", r"$\lambda_t$"), ("alpha", r"$\alpha_t$"), ("sigma", r"$\sigma_t$"))
    titles = ("log-SNR", "signal", "noise")
    for (name, curve), (color, style) in zip(result.curves.items(), LOOKS, strict=False):
        for ax, (key, _) in zip(axes, names, strict=True):
            ax.plot(curve["share"], curve[key], color=color, ls=style, lw=1.3, label=name)
    for ax, (_, symbol), title in zip(axes, names, titles, strict=True):
        ax.set(xlabel=r"$(t-t_0)/(T-t_0)$", ylabel=symbol, title=title)
    axes[0].set_ylim(-13, 13)
    axes[2].set(yscale="log", ylim=(5e-3, 150))
    legend_below(axes[0], 3)


def draw_energy(axes: Sequence[Axes], result: Energy) -> None:
    """alpha^2 I, and its loss by both sides of the identity."""
    left, right = axes
    for (name, curve), (color, _), marker in zip(
        result.curves.items(), LOOKS, MARKERS, strict=False
    ):
        left.semilogy(curve["times"], curve["energy"], color=color, label=name)
        right.semilogy(curve["times"], curve["loss"], color=color)
        right.semilogy(
            curve["at"], curve["quotient"], color=color, marker=marker, ms=4, mfc="white", ls=""
        )
    left.set(xlabel="time $t$", ylabel=r"$\alpha_t^2 I_t$", title="Energy of $M_t$")
    right.set(
        xlabel="time $t$", ylabel=r"$-d(\alpha_t^2 I_t)/dt$",
        title="Its loss, found in two ways",
    )  # fmt: skip
    right.plot([], [], color="black", label=r"$\alpha_t^2g_t^2E[((\log q_t)^{\prime\prime})^2]$")
    right.plot([], [], color="black", marker="o", mfc="white", ls="", label="difference quotient")
    right.legend(fontsize=SMALL, loc="lower left")
    legend_below(left, 4)


def draw_euler(axes: Sequence[Axes], result: Euler) -> None:
    """Weak errors of mean and variance, and the strong error, over the number of steps."""
    steps = result.steps.double()
    parts = (
        (result.mean, r"$|E\hat x_s-Ex_s|$", "weak: mean"),
        (result.variance, r"$|\mathrm{Var}\,\hat x_s-\mathrm{Var}\,x_s|$", "weak: variance"),
        (result.strong, r"$(E|\hat x_s-x_s|^2)^{1/2}$", "strong"),
    )
    for ax, (errors, symbol, title) in zip(axes, parts, strict=True):
        for (name, error), (color, _), marker in zip(errors.items(), LOOKS, MARKERS, strict=False):
            ax.loglog(steps, error, color=color, marker=marker, ms=3, lw=1, label=name)
        lowest = min(error[0].item() for error in errors.values())
        slope_line(ax, steps, lowest / 4, -1.0, "order 1")
        ax.set(xlabel="steps", ylabel=symbol, title=title)
    legend_below(axes[0], 4)


def draw_drift(axes: Sequence[Axes], result: Drift) -> None:
    """The martingale's drift over the number of steps, of order 1, and of a step of order 1/2."""
    left, right = axes
    panels = (
        (left, result.steps.double(), result.gaussian, result.perturbed),
        (right, result.mixture_steps.double(), result.mixture, result.mixture_perturbed),
    )
    for ax, steps, drifts, perturbed in panels:
        for (name, drift), (color, _), marker in zip(drifts.items(), LOOKS, MARKERS, strict=False):
            ax.loglog(steps, drift, color=color, marker=marker, ms=3, lw=1, ls="", label=name)
            if ax is left:
                ax.plot(steps, result.closed_form[name], color=color, lw=0.8)
        name = next(iter(drifts))
        ax.plot(
            steps, perturbed, color=GREY, marker="x", ms=3, lw=0.8, ls="--",
            label=rf"{name}, drift off by a share $\sqrt{{h}}$",
        )  # fmt: skip
        lowest = min(drift[0].item() for drift in drifts.values())
        slope_line(ax, steps, lowest / 4, -1.0, "order 1")
        slope_line(ax, steps, perturbed[0].item() * 2, -0.5, "order 1/2", "-.")
    left.plot([], [], color="black", lw=0.8, label="$C/n$, closed form")
    left.set(
        xlabel="steps $n$", ylabel=r"$(E|E[M_s|x_t]-M_t|^2)^{1/2}$",
        title=r"One Gaussian, $x_t\sim q_t$",
    )  # fmt: skip
    right.set(
        xlabel="steps $n$", ylabel=r"$|E[M_s|x_t]-M_t|\,/\,\mathrm{sd}\,M_s$",
        title="A mixture, one $x_t$",
    )  # fmt: skip
    legend_below(left, 3)
