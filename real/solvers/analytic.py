"""Ancestral sampling with the reverse variance that is best for a network (Analytic-DPM).

Bao et al. (ICLR 2022). The variance comes from the energy of the network's own noise prediction,
which a calibration of order 1 measures in its pass, with and without itself.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from real.solvers.base import Draw, Solver, SolverRun, scaled, variance_preserving
from real.solvers.grids import as_trained
from theory.diffusion.reverse_variance import optimal_variance
from theory.diffusion.schedules import Schedule

NAME = "ddpm-analytic"
NoiseEnergy = Callable[[Tensor], Tensor]
"""E|e_theta|^2 / d at times (m,), float64 (m,)."""


def analytic_solver(noise_energy: NoiseEnergy) -> Solver:
    """The solver for a network whose noise prediction has this energy."""
    return Solver(NAME, partial(begin_analytic, noise_energy=noise_energy))


def begin_analytic(
    schedule: Schedule, nfe: int, hints: Mapping[str, Any], *, noise_energy: NoiseEnergy
) -> SolverRun:
    """Begin a run with one evaluation per step; the last step ends at x_0."""
    times = as_trained(schedule, nfe, hints)
    t, s = times[:-1], times[1:]
    scale = variance_preserving(schedule.alpha(s), schedule.sigma(s))
    deviation = optimal_variance(schedule, s, t, noise_energy(t)).sqrt() / scale
    log_snr = schedule.log_snr(times)
    fall = -torch.expm1(log_snr[:-1] - log_snr[1:])
    signal, noise = log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt()
    of_data = signal[1:] * fall
    of_x = noise[1:] ** 2 / noise[:-1] ** 2 * signal[:-1] / signal[1:]

    def step(i: int, x_0: Tensor, x: Tensor, draw: Draw) -> Tensor:
        """The next x."""
        if i == len(times) - 1:
            return x_0
        return of_data[i].item() * x_0 + of_x[i].item() * x + deviation[i].item() * draw()

    return SolverRun(times, variance_preserving, scaled(1.0), step)
