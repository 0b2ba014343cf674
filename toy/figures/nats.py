"""Divergences against their bounds, and the discrete bound against the continuous one."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.integrate import quad
from torch import Tensor

from theory.diffusion.likelihood_bound import discrete_bound
from theory.diffusion.schedules import RectifiedFlow, Schedule, VPCosine, VPLinear
from toy.claims.likelihood import Pieces, pieces
from toy.mixtures.diffusion import as_time
from toy.strategies.mixtures import Components, TimePair
from toy.strategies.models import LikelihoodCase

DATA = Components((0.6, 0.4), ((-1.0,), (1.0,)), ((0.6,), (0.8,)), ())


@dataclass(frozen=True)
class Divergences:
    """Over a parameter of the misfit: KL of SDE and ODE, and the bound of each."""

    parameter: Tensor
    sde: Tensor
    sde_bound: Tensor
    ode: Tensor
    ode_bound: Tensor


@dataclass(frozen=True)
class Likelihood:
    """A family of misfits by their bias, and one by their slope."""

    by_bias: Divergences
    by_slope: Divergences


@dataclass(frozen=True)
class Refinement:
    """By schedule: relative error of the discrete bound over steps (N,), and observed orders."""

    steps: Tensor
    error: dict[str, Tensor]
    order: dict[str, Tensor]


def likelihood(points: int = 13) -> Likelihood:
    """KL(q_s|p_s) of affine models of a two-component line, and what bounds it."""

    def biased(bias: float) -> LikelihoodCase:
        return LikelihoodCase(DATA, _pair(VPLinear()), 0.8, 0.0, bias, 0.0, 1.3)

    def sloped(slope: float) -> LikelihoodCase:
        return LikelihoodCase(DATA, _pair(VPLinear()), slope, 0.0, 0.2, 0.0, 1.3)

    return Likelihood(_over(biased, -1.0, 1.0, points), _over(sloped, 0.55, 1.5, points))


def _pair(schedule: Schedule, low: float = 0.0, high: float = 1.0) -> TimePair:
    """s < t between two log-SNRs."""
    s, t = (schedule.time_of(as_time(x)).item() for x in (high, low))
    return TimePair(schedule, s, t)


def _over(
    case: Callable[[float], LikelihoodCase], low: float, high: float, points: int
) -> Divergences:
    parameter = torch.linspace(low, high, points, dtype=torch.float64)
    each = [pieces(case(x)) for x in parameter.tolist()]

    def of(value: Callable[[Pieces], float]) -> Tensor:
        return torch.tensor([value(p) for p in each], dtype=torch.float64)

    return Divergences(
        parameter,
        of(lambda p: p.kl_sde), of(lambda p: p.kl_prior + p.j_sm),
        of(lambda p: p.kl_ode), of(lambda p: p.kl_prior + (p.j_sm * p.j_fisher) ** 0.5),
    )  # fmt: skip


def refinement() -> Refinement:
    """The discrete bound for one Gaussian and an affine model, over 4, 8, ... steps."""
    steps = [4 * 2**k for k in range(9)]
    error, order = {}, {}
    for schedule in (VPLinear(), VPCosine(), RectifiedFlow()):
        alone = Components((1.0,), ((-1.0,),), ((0.6,),), ())
        pair = _pair(schedule, -2.0, 4.0)
        case = LikelihoodCase(alone, pair, 0.8, 0.0, 0.3, 0.0, 1.0)
        exact = _continuous(case)
        errors = torch.tensor([abs(_discrete(case, n) / exact - 1) for n in steps]).double()
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
        time = schedule.time_of(torch.tensor([log_snr], dtype=torch.float64))
        return case.squared_noise_error(time).item() / 2

    ends = schedule.log_snr(torch.tensor([case.times.t, case.times.s], dtype=torch.float64))
    value, _ = quad(density, *ends.tolist(), epsabs=0.0, epsrel=1e-12)
    return float(value)
