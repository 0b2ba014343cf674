"""Euler's method: on EDM's noise levels, and along the straight lines of flow matching."""

from collections.abc import Mapping
from typing import Any

from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from real.solvers.base import (
    Norm,
    Solver,
    SolverRun,
    flow,
    ratios,
    scaled,
    steps_of,
    variance_exploding,
)
from real.solvers.grids import evenly_in_flow, karras
from theory.diffusion.schedules import Schedule


def begin_edm_euler(schedule: Schedule, nfe: int, hints: Mapping[str, Any]) -> SolverRun:
    """dx/dr = (x - x_0)/r on EDM's times, one evaluation per step."""
    times = karras(schedule, nfe)
    return _begin(times, ratios(schedule, times), variance_exploding)


def begin_flow_euler(schedule: Schedule, nfe: int, hints: Mapping[str, Any]) -> SolverRun:
    """dx/ds = e - x_0 on times equally spaced in s = sigma/(alpha + sigma), shifted as the hints say."""
    times = evenly_in_flow(schedule, nfe, float(hints.get("shift", 1.0)))
    alpha, sigma = schedule.alpha(times), schedule.sigma(times)
    return _begin(times, sigma / (alpha + sigma), flow)


def _begin(times: Tensor, levels: Tensor, norm: Norm) -> SolverRun:
    """x - x_0 = level (e or e - x_0) in both scales, so that both take the same step."""
    step = steps_of(FlowMatchEulerDiscreteScheduler(), len(times), levels)
    return SolverRun(
        times, norm, scaled(levels[0].item()),
        lambda i, x_0, x, draw: step(i, (x - x_0) / levels[i], x),
    )  # fmt: skip


SOLVERS = (Solver("euler", begin_edm_euler), Solver("flow-euler", begin_flow_euler))
