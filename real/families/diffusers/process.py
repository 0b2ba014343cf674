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


TIME_AXIS = {"timestep_type": "discrete", "invert_sigmas": False}
"""Settings that give the network another time, and their values that do not."""


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

    A class that diffusers has is built as it is, with its own defaults; of any other the configuration
    must hold the betas.

    Raises:
        InputError: as ``process_of_scheduler``, or the library cannot build it.
    """
    import diffusers

    name, steps = config.get("_class_name"), config.get("num_train_timesteps", STEPS)
    if type(steps) is not int or not 1 <= steps <= MAX_STEPS:
        raise InputError(
            f"checkpoint: expected num_train_timesteps from 1 to {MAX_STEPS}, got {steps!r:.40}"
        )
    kind: Any = getattr(diffusers.schedulers, str(name), None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin)):
        if "beta_schedule" not in config and "trained_betas" not in config:
            raise InputError(f"checkpoint: expected a scheduler with betas, got {name or 'none'}")
        kind = diffusers.DDPMScheduler
    try:
        with quiet():
            scheduler = kind.from_config(config)
    except Exception as error:  # whatever the library makes of values of other kinds
        raise InputError(f"checkpoint: cannot read the schedule: {one_line(error)}") from error
    return process_of_scheduler(scheduler)


def process_of_scheduler(scheduler: Any) -> Process:
    """The process of a scheduler: its own table, or a rectified flow.

    Where the last SNR of a table is zero (``rescale_betas_zero_snr``), alpha^2 is a little above zero
    at the last time.

    Raises:
        InputError: another kind of process, time or prediction; a noise that the network is to predict
            where the image is lost altogether.
    """
    known = getattr(scheduler, "process", None)
    if isinstance(known, Process):  # of a fitted solver
        return known
    config, name = scheduler.config, type(scheduler).__name__
    kind = config.get("prediction_type", "epsilon")
    for field, usual in TIME_AXIS.items():
        if config.get(field, usual) != usual:
            raise InputError(f"checkpoint: expected {field} = {usual!r}, got {config[field]!r:.40}")
    flow = name.startswith("FlowMatch") or kind == "flow_prediction"
    if flow:
        return Process(RectifiedFlow(), FLOW, config.get("num_train_timesteps", STEPS))
    if config.get("use_flow_sigmas"):
        raise InputError(f"checkpoint: use_flow_sigmas expects flow_prediction, got {kind!r:.40}")
    if not isinstance(kind, str) or kind not in PREDICTION_TYPES:
        raise InputError(
            f"checkpoint: expected prediction_type {', '.join(PREDICTION_TYPES)}, got {kind!r:.40}"
        )
    table = getattr(scheduler, "alphas_cumprod", None)
    if not isinstance(table, torch.Tensor):
        raise InputError(f"checkpoint: expected a scheduler with betas, got {name}")
    table = table.to("cpu", torch.float64, copy=True)
    if config.get("rescale_betas_zero_snr") and PREDICTION_TYPES[kind] is NOISE:
        raise InputError(
            "checkpoint: rescale_betas_zero_snr expects prediction_type v_prediction or sample: at SNR 0 "
            "a predicted noise tells nothing of the image"
        )
    rescaled = bool(config.get("rescale_betas_zero_snr"))
    if table.dim() == 1 and len(table) > 1 and (rescaled or table[-1] == 0):
        table[-1] = min(LAST_ALPHA_SQ, table[-2].item() / 2)
    return Process(DiscreteSchedule(table), PREDICTION_TYPES[kind], 1)
