"""UniPC of order 2, on times equally spaced in log-SNR: each evaluation also corrects the step before.

Zhao et al., "UniPC" (2023), in the form of diffusers that predicts the data.
"""

from collections.abc import Mapping
from typing import Any

from diffusers import UniPCMultistepScheduler

from real.solvers.base import Solver, SolverRun, ratios, scaled, steps_of, variance_preserving
from real.solvers.grids import evenly_in_log_snr
from theory.diffusion.schedules import Schedule


def begin_unipc(schedule: Schedule, nfe: int, hints: Mapping[str, Any]) -> SolverRun:
    """Begin a run of exactly ``nfe`` evaluations."""
    times = evenly_in_log_snr(schedule, nfe)
    solver = UniPCMultistepScheduler(prediction_type="sample", solver_order=2)
    step = steps_of(solver, nfe, ratios(schedule, times))
    return SolverRun(
        times, variance_preserving, scaled(1.0), lambda i, x_0, x, draw: step(i, x_0, x)
    )


SOLVERS = (Solver("unipc", begin_unipc),)
