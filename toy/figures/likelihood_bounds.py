"""Divergences against their bounds, and the discrete bound against the continuous one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from scipy.integrate import quad
from torch import Tensor

from theory.diffusion.likelihood_bound import discrete_bound
from theory.diffusion.schedules import RectifiedFlow, VPCosine, VPLinear
from theory.support.plot_style import BLUE, ORANGE
from toy.claims.likelihood import BoundTerms, bound_terms
from toy.figures.common import Axes, draw_power, legend_below, styled
from toy.mixtures.mixture import float64
from toy.strategies.likelihood import LikelihoodCase
from toy.strategies.mixtures import Components
from toy.strategies.time_pairs import time_pair

DATA = Components((0.6, 0.4), ((-1.0,), (1.0,)), ((0.6,), (0.8,)), ())


@dataclass(frozen=True)
class Divergences:
    """Over a parameter of the model's error: KL of SDE and ODE, and the bound of each."""

    parameter: Tensor
    sde: Tensor
    sde_bound: Tensor
    ode: Tensor
    ode_bound: Tensor


@dataclass(frozen=True)
class DivergenceFamilies:
    """A family of models by their bias, and one by their slope."""

    by_bias: Divergences
    by_slope: Divergences


@dataclass(frozen=True)
class Refinement:
    """By schedule: relative error of the discrete bound over steps (N,), and observed orders."""

    steps: Tensor
    error: dict[str, Tensor]
    order: dict[str, Tensor]


def compute_divergences(points: int = 13) -> DivergenceFamilies:
    """KL(q_s|p_s) of affine models of a two-component line, and what bounds it."""

    pair = time_pair(VPLinear(), 1.0, 0.0)

    def biased(bias: float) -> LikelihoodCase:
        """The model with this bias."""
        return LikelihoodCase(DATA, pair, 0.8, 0.0, bias, 0.0, 1.3)

    def sloped(slope: float) -> LikelihoodCase:
        """The model with this slope."""
        return LikelihoodCase(DATA, pair, slope, 0.0, 0.2, 0.0, 1.3)

    return DivergenceFamilies(_over(biased, -1.0, 1.0, points), _over(sloped, 0.55, 1.5, points))


def _over(
    case: Callable[[float], LikelihoodCase], low: float, high: float, points: int
) -> Divergences:
    parameter = torch.linspace(low, high, points, dtype=torch.float64)
    each = [bound_terms(case(x)) for x in parameter.tolist()]

    def of(value: Callable[[BoundTerms], float]) -> Tensor:
        """A value for every parameter."""
        return float64([value(p) for p in each])

    return Divergences(
        parameter,
        of(lambda p: p.kl_sde), of(lambda p: p.kl_prior + p.j_sm),
        of(lambda p: p.kl_ode), of(lambda p: p.kl_prior + (p.j_sm * p.j_fisher) ** 0.5),
    )  # fmt: skip


def compute_refinement() -> Refinement:
    """The discrete bound for one Gaussian and an affine model, over 4, 8, ... steps."""
    steps = [4 * 2**k for k in range(9)]
    error, order = {}, {}
    for schedule in (VPLinear(), VPCosine(), RectifiedFlow()):
        alone = Components((1.0,), ((-1.0,),), ((0.6,),), ())
        case = LikelihoodCase(alone, time_pair(schedule, 4.0, -2.0), 0.8, 0.0, 0.3, 0.0, 1.0)
        exact = _continuous(case)
        errors = float64([abs(_discrete(case, n) / exact - 1) for n in steps])
        error[schedule.name] = errors
        order[schedule.name] = torch.log2(errors[:-1] / errors[1:])
    return Refinement(torch.tensor(steps), error, order)


def _discrete(case: LikelihoodCase, steps: int) -> float:
    """On equal steps of time."""
    times = torch.linspace(case.times.s, case.times.t, steps + 1, dtype=torch.float64)
    return discrete_bound(case.times.schedule, times, case.squared_noise_error(times)).item()


def _continuous(case: LikelihoodCase) -> float:
    """0.5 int h |d lambda|."""
    schedule = case.times.schedule

    def density(log_snr: float) -> float:
        """h/2."""
        time = schedule.time_of(float64([log_snr]))
        return case.squared_noise_error(time).item() / 2

    ends = schedule.log_snr(float64([case.times.t, case.times.s]))
    value, _ = quad(density, *ends.tolist(), epsabs=0.0, epsrel=1e-12)
    return float(value)


def draw_divergences(axes: Sequence[Axes], result: DivergenceFamilies) -> None:
    """KL of SDE and ODE under their bounds, over two families of models."""
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
    for name, error, color, _, marker in styled(result.error):
        left.loglog(steps, error, color=color, marker=marker, ms=3, lw=1, label=name)
        right.semilogx(steps[1:], result.order[name], color=color, marker=marker, ms=3, lw=1)
    lowest = min(error[0].item() for error in result.error.values())
    draw_power(left, steps, lowest / 4, -1.0, "order 1")
    right.axhline(1.0, color="black", lw=0.8, ls=":")
    left.set(xlabel="steps $n$", ylabel="relative error", title="Discrete bound")
    right.set(xlabel="steps $n$", ylabel="$\\log_2$ of the error's ratio", title="Observed order")
    legend_below(left, 4)
