"""The noise process that a diffusers scheduler's configuration describes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from real.families.beta_tables import MAX_STEPS, STEPS
from real.families.diffusers.folder import quiet
from theory.diffusion.schedules import DiscreteSchedule, RectifiedFlow, Schedule
from theory.diffusion.targets import DATA, FLOW, NOISE, VELOCITY, Target
from theory.support.errors import InputError, one_line

PREDICTION_TYPES = {"epsilon": NOISE, "sample": DATA, "v_prediction": VELOCITY}

LAST_ALPHA_SQ = 2.0**-24
"""alpha^2 at the last time in place of zero, as in diffusers' own Euler and DPM schedulers."""


@dataclass(frozen=True)
class Process:
    """How images are noised, and what the network predicts.

    Attributes:
        schedule, target: as of ``Checkpoint``.
        time_scale: the network's timestep over the schedule's time.
    """

    schedule: Schedule
    target: Target
    time_scale: int


def process_of(config: Mapping[str, Any]) -> Process:
    """The process of a scheduler's configuration: a table of betas, or a rectified flow.

    Where the last SNR of a table is zero (``rescale_betas_zero_snr``), alpha^2 is a little above zero
    at the last time.

    Raises:
        InputError: the prediction type, the number of steps or the betas are not understood.
    """
    name, kind = config.get("_class_name"), config.get("prediction_type", "epsilon")
    steps = config.get("num_train_timesteps", STEPS)
    if type(steps) is not int or not 1 <= steps <= MAX_STEPS:
        raise InputError(
            f"checkpoint: expected num_train_timesteps from 1 to {MAX_STEPS}, got {steps!r:.40}"
        )
    if str(name).startswith("FlowMatch") or kind == "flow_prediction":
        return Process(RectifiedFlow(), FLOW, steps)
    if not isinstance(kind, str) or kind not in PREDICTION_TYPES:
        raise InputError(
            f"checkpoint: expected prediction_type {', '.join(PREDICTION_TYPES)}, got {kind!r:.40}"
        )
    return Process(_table(config), PREDICTION_TYPES[kind], 1)


def _table(config: Mapping[str, Any]) -> DiscreteSchedule:
    if "beta_schedule" not in config and "trained_betas" not in config:
        raise InputError(
            f"checkpoint: expected a scheduler with betas, got {config.get('_class_name', 'none')}"
        )
    from diffusers import DDPMScheduler

    try:
        with quiet():
            scheduler = DDPMScheduler.from_config(config)
            table = scheduler.alphas_cumprod.to(torch.float64)
    except Exception as error:  # whatever the library makes of values of other kinds
        raise InputError(f"checkpoint: cannot read the schedule: {one_line(error)}") from error
    if table.dim() == 1 and len(table) > 1 and table[-1] == 0:
        table[-1] = min(LAST_ALPHA_SQ, table[-2].item() / 2)
    return DiscreteSchedule(table)
