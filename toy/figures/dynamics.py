"""Schedules, the energy identity along them, and Euler and Maruyama's steps."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from theory.diffusion.schedules import (
    EDM,
    DiscreteSchedule,
    RectifiedFlow,
    Schedule,
    VEGeometric,
    VPCosine,
    VPLinear,
)
from theory.support.plot_style import GREY
from toy.claims.convergence_orders import (
    ROOT_DRIFT,
    drift_constant,
    martingale_drift,
    mixture_errors,
)
from toy.claims.euler_maruyama import chain, exact_kernel, strong_distance_sq
from toy.figures.common import SMALL, Axes, draw_power, legend_below, mixture_on_line, styled
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import float64
from toy.numerics.quadrature import expectation
from toy.strategies.gaussians import GaussianChainCase
from toy.strategies.mixtures import Components, ReverseCase
from toy.strategies.time_pairs import TimePair


@dataclass(frozen=True)
class ScheduleCurves:
    """By name: shares of the way from t_min to t_max, and log-SNR, alpha, sigma there."""

    curves: dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class EnergyCurves:
    """By schedule: alpha^2 I over t, its loss alpha^2 g^2 E[((log q)'')^2] and a difference quotient.

    The quotient, at times ``at``, must equal the loss.
    """

    curves: dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class ChainErrors:
    """By schedule: errors of the mean and of the variance, and the strong one, over steps (N,)."""

    steps: Tensor
    mean: dict[str, Tensor]
    variance: dict[str, Tensor]
    strong: dict[str, Tensor]


@dataclass(frozen=True)
class DriftErrors:
    """How far M drifts along Euler and Maruyama's chain, over steps (N,).

    By schedule: of one Gaussian the root mean square over x_t ~ q_t, and C/n in closed form; of a
    mixture |E[M_s|x_t] - M_t| from one x_t, in deviations of M_s. ``perturbed`` is the first
    schedule's with a drift off by a share sqrt(h), whose order is 1/2.
    """

    steps: Tensor
    gaussian: dict[str, Tensor]
    closed_form: dict[str, Tensor]
    perturbed: Tensor
    mixture_steps: Tensor
    mixture: dict[str, Tensor]
    mixture_perturbed: Tensor


def compute_schedules(points: int = 300) -> ScheduleCurves:
    """Every named schedule; DDPM's table for the discrete one."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    kinds: list[Schedule] = [VPLinear(), VPCosine(), VEGeometric(), EDM(), RectifiedFlow()]
    kinds.append(DiscreteSchedule(torch.cumprod(1 - betas, 0)))
    share = torch.linspace(0.0, 1.0, points, dtype=torch.float64)
    curves = {}
    for kind in kinds:
        t = kind.t_min + share * (kind.t_max - kind.t_min)
        curves[kind.name] = {
            "share": share, "log_snr": kind.log_snr(t),
            "alpha": kind.alpha(t), "sigma": kind.sigma(t),
        }  # fmt: skip
    return ScheduleCurves(curves)


def compute_energy(points: int = 60) -> EnergyCurves:
    """Both sides of d(alpha^2 I)/dt = -alpha^2 g^2 E[((log q)'')^2] for the two-component line."""
    curves = {}
    for schedule in (VPLinear(), VPCosine(), RectifiedFlow(), VEGeometric(0.05, 20.0)):
        diffusion = Diffusion(mixture_on_line().data, schedule)
        times = torch.linspace(0.05, 0.95, points, dtype=torch.float64)
        at = times[::4]
        curves[schedule.name] = {
            "times": times,
            "energy": float64([_energy(diffusion, t) for t in times.tolist()]),
            "loss": float64([_loss(diffusion, t) for t in times.tolist()]),
            "at": at,
            "quotient": float64([_quotient(diffusion, t) for t in at.tolist()]),
        }
    return EnergyCurves(curves)


def _energy(diffusion: Diffusion, t: float) -> float:
    """alpha^2 I."""
    law = diffusion.marginal(t)
    return expectation(law, lambda x: diffusion.martingale(x, t) ** 2).value.item()


def _loss(diffusion: Diffusion, t: float) -> float:
    """alpha^2 g^2 E[((log q)'')^2]."""
    law, g_sq = diffusion.marginal(t), diffusion.schedule.diffusion_sq(float64(t)).item()
    squared = expectation(law, lambda x: law.hessian(x)[:, 0] ** 2).value.item()
    return diffusion.scales(t)[0] ** 2 * g_sq * squared


def _quotient(diffusion: Diffusion, t: float, step: float = 1e-4) -> float:
    """-d(alpha^2 I)/dt by a central difference."""
    return (_energy(diffusion, t - step) - _energy(diffusion, t + step)) / (2 * step)


def compute_euler() -> ChainErrors:
    """Errors of the chain for one Gaussian, from t = 0.8 to s = 0.1, by closed forms."""
    steps = [8 * 2**k for k in range(8)]
    mean, variance, strong = {}, {}, {}
    for schedule in (VPLinear(), VPCosine(), RectifiedFlow()):
        case = GaussianChainCase(1.0, 0.5, TimePair(schedule, 0.1, 0.8), 1.0)
        offset, gain, v = exact_kernel(case)
        target, x_t = offset + gain * case.x_t(), case.x_t()
        chains = [chain(case, n) for n in steps]
        mean[schedule.name] = float64([abs(c.offset + c.gain * x_t - target) for c in chains])
        variance[schedule.name] = float64([abs((c.weights @ c.weights).item() - v) for c in chains])
        strong[schedule.name] = float64([strong_distance_sq(case, n) ** 0.5 for n in steps])
    return ChainErrors(torch.tensor(steps), mean, variance, strong)


def compute_drift() -> DriftErrors:
    """Of one Gaussian from t = 0.8 to s = 0.1, of a mixture from t = 0.5 to s = 0.45."""
    steps, few = tuple(4 * 2**k for k in range(8)), tuple(2**k for k in range(6))
    kinds = (VPLinear(), VPCosine(), RectifiedFlow())
    lines = {
        kind.name: GaussianChainCase(1.0, 0.5, TimePair(kind, 0.1, 0.8), 0.0) for kind in kinds
    }
    two = Components((0.6, 0.4), ((-1.0,), (0.8,)), ((0.6,), (0.8,)), ())
    mixtures = {k.name: ReverseCase(two, TimePair(k, 0.45, 0.5), 0, (1.0,)) for k in kinds}
    first, wrong = kinds[0].name, ROOT_DRIFT
    return DriftErrors(
        torch.tensor(steps),
        {name: float64([martingale_drift(case, n) for n in steps])
         for name, case in lines.items()},
        {name: drift_constant(case) / torch.tensor(steps).double()
         for name, case in lines.items()},
        float64([martingale_drift(lines[first], n, wrong) for n in steps]),
        torch.tensor(few),
        {name: mixture_errors(case, counts=few)[:, 2].abs()
         for name, case in mixtures.items()},
        mixture_errors(mixtures[first], wrong, few)[:, 2].abs(),
    )  # fmt: skip


def draw_schedules(axes: Sequence[Axes], result: ScheduleCurves) -> None:
    """Log-SNR, alpha and sigma of every schedule."""
    names = (("log_snr", r"$\lambda_t$"), ("alpha", r"$\alpha_t$"), ("sigma", r"$\sigma_t$"))
    titles = ("log-SNR", "signal", "noise")
    for name, curve, color, style, _ in styled(result.curves):
        for ax, (key, _) in zip(axes, names, strict=True):
            ax.plot(curve["share"], curve[key], color=color, ls=style, lw=1.3, label=name)
    for ax, (_, symbol), title in zip(axes, names, titles, strict=True):
        ax.set(xlabel=r"$(t-t_0)/(T-t_0)$", ylabel=symbol, title=title)
    axes[0].set_ylim(-13, 13)
    axes[2].set(yscale="log", ylim=(5e-3, 150))
    legend_below(axes[0], 3)


def draw_energy(axes: Sequence[Axes], result: EnergyCurves) -> None:
    """alpha^2 I, and its loss by both sides of the identity."""
    left, right = axes
    for name, curve, color, _, marker in styled(result.curves):
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


def draw_euler(axes: Sequence[Axes], result: ChainErrors) -> None:
    """Weak errors of mean and variance, and the strong error, over the number of steps."""
    steps = result.steps.double()
    parts = (
        (result.mean, r"$|E\hat x_s-Ex_s|$", "weak: mean"),
        (result.variance, r"$|\mathrm{Var}\,\hat x_s-\mathrm{Var}\,x_s|$", "weak: variance"),
        (result.strong, r"$(E|\hat x_s-x_s|^2)^{1/2}$", "strong"),
    )
    for ax, (errors, symbol, title) in zip(axes, parts, strict=True):
        for name, error, color, _, marker in styled(errors):
            ax.loglog(steps, error, color=color, marker=marker, ms=3, lw=1, label=name)
        lowest = min(error[0].item() for error in errors.values())
        draw_power(ax, steps, lowest / 4, -1.0, "order 1")
        ax.set(xlabel="steps", ylabel=symbol, title=title)
    legend_below(axes[0], 4)


def draw_drift(axes: Sequence[Axes], result: DriftErrors) -> None:
    """The martingale's drift over the number of steps, of order 1, and of a step of order 1/2."""
    left, right = axes
    panels = (
        (left, result.steps.double(), result.gaussian, result.perturbed),
        (right, result.mixture_steps.double(), result.mixture, result.mixture_perturbed),
    )
    for ax, steps, drifts, perturbed in panels:
        for name, drift, color, _, marker in styled(drifts):
            ax.loglog(steps, drift, color=color, marker=marker, ms=3, lw=1, ls="", label=name)
            if ax is left:
                ax.plot(steps, result.closed_form[name], color=color, lw=0.8)
        name = next(iter(drifts))
        ax.plot(
            steps, perturbed, color=GREY, marker="x", ms=3, lw=0.8, ls="--",
            label=rf"{name}, drift off by a share $\sqrt{{h}}$",
        )  # fmt: skip
        lowest = min(drift[0].item() for drift in drifts.values())
        draw_power(ax, steps, lowest / 4, -1.0, "order 1")
        draw_power(ax, steps, perturbed[0].item() * 2, -0.5, "order 1/2", "-.")
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
