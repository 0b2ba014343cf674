"""DPM-Solver, single-step and multistep, of orders 1 to 3, on times equally spaced in log-SNR.

Lu et al., "DPM-Solver" (2022) and "DPM-Solver++" (2022); the form that predicts the data, which is
the one that diffusers maintains. A single-step solver of order k takes k evaluations per step; its
last step, to x_0 itself, is of order 1.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from diffusers import DPMSolverMultistepScheduler, DPMSolverSinglestepScheduler

from real.solvers.base import Solver, SolverRun, ratios, scaled, steps_of, variance_preserving
from real.solvers.grids import evenly_in_log_snr
from theory.diffusion.schedules import Schedule

ORDERS = (1, 2, 3)
KINDS = {"single": DPMSolverSinglestepScheduler, "multi": DPMSolverMultistepScheduler}


def begin_dpm(
    schedule: Schedule, nfe: int, hints: Mapping[str, Any], *, kind: Any, order: int
) -> SolverRun:
    """Begin a run of exactly ``nfe`` evaluations.

    Args:
        schedule: of the network.
        nfe: network evaluations per sample.
        hints: not used.
        kind: the scheduler of diffusers.
        order: of the solver, 1 to 3.
    """
    times = evenly_in_log_snr(schedule, nfe)
    solver = kind(
        solver_order=order, algorithm_type="dpmsolver++", prediction_type="sample",
        solver_type="heun" if order == 3 else "midpoint", lower_order_final=True,
    )  # fmt: skip
    step = steps_of(solver, nfe, ratios(schedule, times))
    return SolverRun(
        times, variance_preserving, scaled(1.0), lambda i, x_0, x, draw: step(i, x_0, x)
    )


SOLVERS = tuple(
    Solver(f"dpm-{name}-{order}", partial(begin_dpm, kind=kind, order=order))
    for name, kind in KINDS.items()
    for order in ORDERS
)
