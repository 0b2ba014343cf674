"""DDIM (Song et al. 2021), and the ancestral sampling of DDPM (Ho et al. 2020) as its noisy form.

diffusers' DDIM scheduler is given a table which holds nothing but the alphas of the times that are
used, so that it runs on any schedule. With eta = 1 its steps draw from DDPM's posterior.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from real.solvers.base import Draw, Solver, SolverRun, scaled, variance_preserving
from real.solvers.grids import as_trained
from theory.diffusion.schedules import DiscreteSchedule, Schedule

CLIPPING = (
    "clip_sample", "clip_sample_range", "thresholding", "dynamic_thresholding_ratio",
    "sample_max_value",
)  # fmt: skip
"""What a network's own configuration may say of predicted images out of range."""


def begin_ddim(schedule: Schedule, nfe: int, hints: Mapping[str, Any], *, eta: float) -> SolverRun:
    """Begin a run with one evaluation per step; the last ends at x_0, or where the hints say."""
    times = as_trained(schedule, nfe, hints)
    clipping = {"clip_sample": False} | {name: hints[name] for name in CLIPPING if name in hints}
    solver = DDIMScheduler(
        num_train_timesteps=nfe, prediction_type="sample", timestep_spacing="leading", **clipping
    )
    solver.set_timesteps(nfe)
    solver.alphas_cumprod = schedule.log_snr(times).sigmoid().flip(0)
    to_data = hints.get("set_alpha_to_one", True) or not isinstance(schedule, DiscreteSchedule)
    last = 1.0 if to_data else schedule.log_snr(torch.zeros(())).sigmoid().item()
    solver.final_alpha_cumprod = torch.tensor(last, dtype=torch.float64)

    def step(i: int, x_0: Tensor, x: Tensor, draw: Draw) -> Tensor:
        """The next x."""
        noise = draw() if eta else None
        index = len(times) - 1 - i
        return solver.step(x_0, index, x, eta=eta, variance_noise=noise).prev_sample

    return SolverRun(times, variance_preserving, scaled(1.0), step)


SOLVERS = (
    Solver("ddim", partial(begin_ddim, eta=0.0)),
    Solver("ddpm", partial(begin_ddim, eta=1.0)),
)
