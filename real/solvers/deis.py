"""DEIS of order 2 in log-rho, on times equally spaced in log-SNR.

Zhang and Chen, "Fast Sampling of Diffusion Models with Exponential Integrator" (2023).
"""

from collections.abc import Mapping
from typing import Any

from diffusers import DEISMultistepScheduler

from real.solvers.base import Solver, SolverRun, ratios, scaled, steps_of, variance_preserving
from real.solvers.grids import evenly_in_log_snr
from theory.diffusion.schedules import Schedule

ENDS_AT = 1e-3
"""Where it ends, over its last noise level: log-rho knows no zero."""


def begin_deis(schedule: Schedule, nfe: int, hints: Mapping[str, Any]) -> SolverRun:
    """Begin a run of exactly ``nfe`` evaluations."""
    times = evenly_in_log_snr(schedule, nfe)
    levels = ratios(schedule, times)
    solver = DEISMultistepScheduler(prediction_type="sample", solver_order=2)
    step = steps_of(solver, nfe, levels, end=ENDS_AT * levels[-1].item())
    return SolverRun(
        times, variance_preserving, scaled(1.0), lambda i, x_0, x, draw: step(i, x_0, x)
    )


SOLVERS = (Solver("deis", begin_deis),)
