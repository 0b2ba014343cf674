"""Schedules, the energy identity along them, and Euler and Maruyama's steps."""

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
from toy.claims import convergence, dynamics
from toy.figures.common import line
from toy.mixtures.diffusion import Diffusion, as_time
from toy.numerics.quadrature import expectation
from toy.strategies.mixtures import Components, ReverseCase, TimePair
from toy.strategies.models import LineCase


@dataclass(frozen=True)
class Schedules:
    """By name: shares of the way from t_min to t_max, and log-SNR, alpha, sigma there."""

    curves: dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class Energy:
    """By schedule: alpha^2 I over t, its loss alpha^2 g^2 E[((log q)'')^2], and the difference
    quotient that the loss must equal, at ``at``.
    """

    curves: dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class Euler:
    """By schedule: errors of the mean and of the variance, and the strong one, over steps (N,)."""

    steps: Tensor
    mean: dict[str, Tensor]
    variance: dict[str, Tensor]
    strong: dict[str, Tensor]


@dataclass(frozen=True)
class Drift:
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


def schedules(points: int = 300) -> Schedules:
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
    return Schedules(curves)


def energy(points: int = 60) -> Energy:
    """Both sides of d(alpha^2 I)/dt = -alpha^2 g^2 E[((log q)'')^2] for the two-component line."""
    curves = {}
    for schedule in (VPLinear(), VPCosine(), RectifiedFlow(), VEGeometric(0.05, 20.0)):
        diffusion = Diffusion(line().data, schedule)
        times = torch.linspace(0.05, 0.95, points, dtype=torch.float64)
        at = times[::4]
        curves[schedule.name] = {
            "times": times,
            "energy": torch.tensor([_energy(diffusion, t) for t in times.tolist()]).double(),
            "loss": torch.tensor([_loss(diffusion, t) for t in times.tolist()]).double(),
            "at": at,
            "quotient": torch.tensor([_quotient(diffusion, t) for t in at.tolist()]).double(),
        }
    return Energy(curves)


def _energy(diffusion: Diffusion, t: float) -> float:
    """alpha^2 I."""
    law = diffusion.marginal(t)
    return expectation(law, lambda x: diffusion.martingale(x, t) ** 2).value.item()


def _loss(diffusion: Diffusion, t: float) -> float:
    """alpha^2 g^2 E[((log q)'')^2]."""
    law, g_sq = diffusion.marginal(t), diffusion.schedule.diffusion_sq(as_time(t)).item()
    squared = expectation(law, lambda x: law.hessian(x)[:, 0] ** 2).value.item()
    return diffusion.scales(t)[0] ** 2 * g_sq * squared


def _quotient(diffusion: Diffusion, t: float, step: float = 1e-4) -> float:
    """-d(alpha^2 I)/dt by a central difference."""
    return (_energy(diffusion, t - step) - _energy(diffusion, t + step)) / (2 * step)


def euler() -> Euler:
    """Errors of the chain for one Gaussian, from t = 0.8 to s = 0.1, by closed forms."""
    steps = [8 * 2**k for k in range(8)]
    mean, variance, strong = {}, {}, {}
    for schedule in (VPLinear(), VPCosine(), RectifiedFlow()):
        case = LineCase(1.0, 0.5, TimePair(schedule, 0.1, 0.8), 1.0)
        offset, gain, v = dynamics.exact(case)
        target, x_t = offset + gain * case.x_t(), case.x_t()
        chains = [dynamics.chain(case, n) for n in steps]
        mean[schedule.name] = _numbers([abs(c.offset + c.gain * x_t - target) for c in chains])
        variance[schedule.name] = _numbers(
            [abs((c.weights @ c.weights).item() - v) for c in chains]
        )
        strong[schedule.name] = _numbers(
            [dynamics.strong_distance_sq(case, n) ** 0.5 for n in steps]
        )
    return Euler(torch.tensor(steps), mean, variance, strong)


def drift() -> Drift:
    """Of one Gaussian from t = 0.8 to s = 0.1, of a mixture from t = 0.5 to s = 0.45."""
    steps, few = tuple(4 * 2**k for k in range(8)), tuple(2**k for k in range(6))
    kinds = (VPLinear(), VPCosine(), RectifiedFlow())
    lines = {kind.name: LineCase(1.0, 0.5, TimePair(kind, 0.1, 0.8), 0.0) for kind in kinds}
    two = Components((0.6, 0.4), ((-1.0,), (0.8,)), ((0.6,), (0.8,)), ())
    mixtures = {k.name: ReverseCase(two, TimePair(k, 0.45, 0.5), 0, (1.0,)) for k in kinds}
    first, wrong = kinds[0].name, convergence.ROOT_DRIFT
    return Drift(
        torch.tensor(steps),
        {name: _numbers([convergence.martingale_drift(case, n) for n in steps])
         for name, case in lines.items()},
        {name: convergence.drift_constant(case) / torch.tensor(steps).double()
         for name, case in lines.items()},
        _numbers([convergence.martingale_drift(lines[first], n, wrong) for n in steps]),
        torch.tensor(few),
        {name: convergence.mixture_errors(case, counts=few)[:, 2].abs()
         for name, case in mixtures.items()},
        convergence.mixture_errors(mixtures[first], wrong, few)[:, 2].abs(),
    )  # fmt: skip


def _numbers(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
