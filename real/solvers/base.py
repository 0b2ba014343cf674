"""What a solver is: where it evaluates the network, and how it goes from one point to the next.

All Gaussian schedules are one up to a scale: x_t = alpha_t (x_0 + r_t e) with r = sigma/alpha. A
solver of diffusers works in a scale of its own, x_t / norm(alpha_t, sigma_t):

    variance preserving   norm = sqrt(alpha^2 + sigma^2)    DPM-Solver, DDIM, DDPM
    variance exploding    norm = alpha                      Heun and Euler of EDM
    flow                  norm = alpha + sigma              Euler of flow matching

so that each runs on the network of any schedule, at that network's own times.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from theory.diffusion.schedules import Schedule

Norm = Callable[[Tensor, Tensor], Tensor]
"""norm(alpha, sigma), the factor between x_t and the x that a solver works on."""

Draw = Callable[[], Tensor]
"""Fresh standard noise in the shape of the samples."""


def variance_preserving(alpha: Tensor, sigma: Tensor) -> Tensor:
    """Scale in which alpha^2 + sigma^2 = 1."""
    return torch.hypot(alpha, sigma)


def variance_exploding(alpha: Tensor, sigma: Tensor) -> Tensor:
    """Scale in which alpha = 1."""
    return alpha


def flow(alpha: Tensor, sigma: Tensor) -> Tensor:
    """Scale in which alpha + sigma = 1."""
    return alpha + sigma


@dataclass(frozen=True)
class SolverRun:
    """One run of a solver over one batch of samples, to be used once.

    Attributes:
        times: (m,) where the network is evaluated, in this order; its length is the NFE.
        norm: the solver's scale.
        start: the first x in that scale, from standard noise.
        step: step(i, x_0, x, draw) -> next x, from the prediction of x_0 at times[i].
    """

    times: Tensor
    norm: Norm
    start: Callable[[Tensor], Tensor]
    step: Callable[[int, Tensor, Tensor, Draw], Tensor]


def scaled(deviation: float) -> Callable[[Tensor], Tensor]:
    """Starts of that standard deviation."""
    return lambda noise: noise * deviation


@dataclass(frozen=True)
class Solver:
    """A way to sample.

    Attributes:
        name: as ``--solver`` takes it.
        begin: begin(schedule, nfe, hints) -> SolverRun of at most ``nfe`` evaluations; the hints are
            the diffusers scheduler configuration that came with the network, or {}.
    """

    name: str
    begin: Callable[[Schedule, int, Mapping[str, Any]], SolverRun]


def ratios(schedule: Schedule, times: Tensor) -> Tensor:
    """r = sigma/alpha at times (m,), float64 (m,)."""
    return torch.exp(-schedule.log_snr(times) / 2)


def steps_of(
    scheduler: Any, steps: int, levels: Tensor, end: float = 0.0
) -> Callable[[int, Tensor, Tensor], Tensor]:
    """Steps of one of diffusers' schedulers: (i, prediction, x) -> next x.

    It is started on these noise levels in their order, and ends at ``end``.
    """
    scheduler.set_timesteps(steps)
    scheduler.sigmas = torch.cat([levels.double(), torch.tensor([end], dtype=torch.float64)])
    scheduler.set_begin_index(0)
    return lambda i, y, x: scheduler.step(y, scheduler.timesteps[i], x).prev_sample
