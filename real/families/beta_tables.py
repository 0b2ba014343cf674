"""Noise schedules that state files leave out: DDPM's linear betas, improved-diffusion's cosine."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.diffusion.schedules import DiscreteSchedule
from theory.support.errors import InputError

STEPS = 1000
MAX_STEPS = 100_000
"""Published networks have at most 4,000; tables for more would only take memory."""

LARGEST_BETA = 0.999
DESCRIBED = re.compile(r"linear (\S+?)\.\.(\S+?), ?(\d+)")


def linear_betas(steps: int) -> Float64[Tensor, "steps"]:
    """Betas from 1e-4 to 2e-2 over 1000 steps; over other numbers of steps, scaled by 1000 / steps.

    Ho, Jain & Abbeel (2020), section 4; Nichol & Dhariwal (2021).
    """
    scale = STEPS / steps
    return torch.linspace(scale * 1e-4, scale * 2e-2, steps, dtype=torch.float64)


def cosine_betas(steps: int) -> Float64[Tensor, "steps"]:
    """Betas whose cumulative alphas follow a squared cosine (Nichol & Dhariwal 2021, eq. 17)."""
    ends = torch.arange(steps + 1, dtype=torch.float64) / steps
    cumulative = torch.cos((ends + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - cumulative[1:] / cumulative[:-1]).clamp(max=LARGEST_BETA)


NAMED: dict[str, Callable[[int], Tensor]] = {"linear": linear_betas, "cosine": cosine_betas}


def table_schedule(betas: Tensor) -> DiscreteSchedule:
    """The schedule with alpha_t^2 = prod_{s <= t} (1 - beta_s), for betas (steps,)."""
    return DiscreteSchedule(torch.cumprod(1 - betas, 0))


def schedule_of_settings(settings: Mapping[str, Any]) -> DiscreteSchedule:
    """The schedule that settings give as ``betas``, or as ``schedule`` and ``diffusion_steps``.

    Raises:
        InputError: the betas or the name of the schedule are not understood.
    """
    if "betas" in settings:
        return table_schedule(_given(settings["betas"]))
    name, steps = settings["schedule"], settings.get("diffusion_steps", STEPS)
    if not isinstance(name, str) or name not in NAMED:
        raise InputError(f"schedule: expected one of {', '.join(NAMED)}, got {name!r}")
    if not isinstance(steps, int) or not 2 <= steps <= MAX_STEPS:
        raise InputError(
            f"diffusion_steps: expected a whole number from 2 to {MAX_STEPS}, got {steps!r:.40}"
        )
    return table_schedule(NAMED[name](steps))


def _given(betas: Any) -> Tensor:
    try:
        if not isinstance(betas, str):
            return torch.tensor(betas, dtype=torch.float64)
        if match := DESCRIBED.fullmatch(betas):
            first, last, steps = match.groups()
            if int(steps) > MAX_STEPS:
                raise ValueError(f"more than {MAX_STEPS} steps")
            return torch.linspace(float(first), float(last), int(steps), dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"betas: expected numbers, got {str(betas)[:60]!r}") from error
    raise InputError(f"betas: expected numbers or 'linear FIRST..LAST, STEPS', got {betas!r:.60}")
