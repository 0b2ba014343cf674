"""Heun's method of EDM, without and with churn (Karras et al. 2022, algorithms 1 and 2).

Two evaluations per step and one in the last, which goes to x_0: n steps take 2n - 1. Churn raises
the noise before each step, as far as the schedule reaches, and lets the step remove it again.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers import HeunDiscreteScheduler
from torch import Tensor

from real.solvers.base import Draw, Solver, SolverRun, ratios, scaled, steps_of, variance_exploding
from real.solvers.grids import karras
from theory.diffusion.schedules import DiscreteSchedule, Schedule


@dataclass(frozen=True)
class Churn:
    """How much noise is renewed, and between which noise levels; the defaults are for ImageNet-64."""

    strength: float = 40.0
    lowest: float = 0.05
    highest: float = 50.0


def begin_heun(
    schedule: Schedule, nfe: int, hints: Mapping[str, Any], *, churn: Churn | None = None
) -> SolverRun:
    """Begin a run of as many steps as ``nfe`` evaluations allow."""
    steps = (nfe + 1) // 2
    arrivals = karras(schedule, steps)
    departures = _raised(schedule, arrivals, churn) if churn else arrivals
    arrived, departed = ratios(schedule, arrivals), ratios(schedule, departures)
    levels = torch.stack([departed[:-1], arrived[1:]], 1).flatten()
    solver = HeunDiscreteScheduler(prediction_type="sample")
    take = steps_of(solver, steps, torch.cat([levels, departed[-1:]]))
    renewed = (departed**2 - arrived**2).clamp(min=0).sqrt().tolist()

    def step(i: int, x_0: Tensor, x: Tensor, draw: Draw) -> Tensor:
        """The next x."""
        x = take(i, x_0, x)
        arrived_now = i % 2 == 1
        return x + renewed[(i + 1) // 2] * draw() if churn and arrived_now else x

    times = torch.stack([departures[:-1], arrivals[1:]], 1).flatten()
    times = torch.cat([times, departures[-1:]])
    return SolverRun(times, variance_exploding, scaled(departed[0].item()), step)


def _raised(schedule: Schedule, times: Tensor, churn: Churn) -> Tensor:
    """The times at which steps start after noise was added, at most a factor sqrt(2) noisier."""
    ratio = ratios(schedule, times)
    gamma = min(churn.strength / len(times), math.sqrt(2) - 1)
    inside = (ratio >= churn.lowest) & (ratio <= churn.highest)
    raised = schedule.time_of(-2 * torch.log(ratio * (1 + gamma * inside)))
    if isinstance(schedule, DiscreteSchedule):
        raised = raised.round().long()
    return torch.maximum(raised, times).clamp(max=schedule.grid(2).max())


SOLVERS = (Solver("heun", begin_heun), Solver("heun-churn", partial(begin_heun, churn=Churn())))
