"""The arguments of ``calibrate``, checked before the network is run."""

import json
import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import Target, named
from theory.support.checks import kind_of, require_kind
from theory.support.errors import InputError

MOST_TIMES = 100_000
"""More times than any schedule needs; their sums would take all memory."""


def as_schedule_times(schedule: Any, times: Any) -> Tensor:
    """Distinct times of the schedule: those given, or so many, spread evenly in log-SNR.

    Raises:
        InputError: no schedule, or times of another kind.
    """
    require_kind("schedule", schedule, Schedule)
    if isinstance(times, Integral) and not isinstance(times, bool):
        if not 1 <= int(times) <= MOST_TIMES:
            raise InputError(f"times: expected 1 to {MOST_TIMES} of them, got {times}")
        return schedule.times(schedule.grid(int(times)))
    if not isinstance(times, Tensor):
        numbers = isinstance(times, Iterable) and not isinstance(times, str | bytes)
        times = list(times) if numbers else times
        if not numbers or not all(isinstance(t, Real) for t in times):
            raise InputError(f"times: expected a list of numbers, or how many, got {times!r:.60}")
    return schedule.times(times)


def as_target(target: Any) -> Target:
    """A target, or the one of that name.

    Raises:
        InputError: neither a target nor the name of one.
    """
    if isinstance(target, str):
        return named(target)
    require_kind("target", target, Target)
    return target


def as_importance(importance: Any, count: int) -> Float64[Tensor, "time"]:
    """Weights of so many times, (T,).

    Raises:
        InputError: another number of them, a negative one, or none that is positive and finite.
    """
    try:
        weights = torch.as_tensor(importance, dtype=torch.float64).cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"importance: expected {count} numbers, got {kind_of(importance)}"
        ) from error
    fits = weights.shape == (count,) and bool((weights >= 0).all())
    if not fits or not 0 < weights.sum().item() < math.inf:
        raise InputError(
            f"importance: expected {count} numbers, none negative and not all zero, "
            f"got {weights.tolist()}"
        )
    return weights


def as_provenance(provenance: Any) -> dict[str, Any]:
    """What is worth keeping with a result, as JSON can hold it.

    Raises:
        InputError: no mapping, or values that JSON cannot hold.
    """
    if provenance is None:
        return {}
    require_kind("provenance", provenance, Mapping)
    try:
        json.dumps(dict(provenance))
    except (TypeError, ValueError) as error:
        raise InputError(f"provenance: expected values that JSON can hold: {error}") from error
    return dict(provenance)


def as_device(device: Any) -> torch.device | None:
    """A device by name, or none for where the images are.

    Raises:
        InputError: PyTorch knows none of that name.
    """
    try:
        return None if device is None else torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"device: expected such as cpu or cuda, got {device!r:.60}") from error
