"""The parts of the check, one after the other."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from real.experiments.device_check.agreement import TOLERANCES, agreement, half_precision
from real.experiments.device_check.machine import machine
from real.experiments.device_check.memory import halving
from real.experiments.device_check.speed import speeds, ways_to_call
from real.experiments.device_check.subjects import Scale
from theory.support.errors import InputError, one_line_with_type

Found = dict[str, Any]


def device_check(
    device: torch.device, scale: Scale, seconds: float, say: Callable[[Found], None]
) -> Found:
    """Everything that is checked.

    A part that fails is told in one line, and the others go on.

    Args:
        device: what is checked.
        scale: how much is tried.
        seconds: after so many no further part is begun.
        say: called with all that was found so far, after each part.
    """
    exactly = (agreement, half_precision)
    parts: dict[str, Callable[[], Any]] = {
        **{part.__name__: partial(_without_tf32, partial(part, device, scale)) for part in exactly},
        "memory": partial(_without_tf32, partial(halving, device)),
        **{f"speed_{name}": partial(speeds, name, device, scale) for name in scale.networks},
        **{f"calls_{name}": partial(ways_to_call, name, device, scale) for name in scale.compiled},
    }
    found: Found = {"machine": machine(device), "tolerances": TOLERANCES}
    begun = time.perf_counter()
    for name, part in parts.items():
        if time.perf_counter() - begun > seconds:
            found[name] = {"skipped": f"after {seconds:g} s"}
            continue
        found[name] = _result(part)
        say(found)
    return found


def _result(part: Callable[[], Any]) -> Found:
    begun = time.perf_counter()
    try:
        result = {"found": part()}
    except (RuntimeError, InputError, ValueError, TypeError, AttributeError, OSError) as error:
        result = {"failed": one_line_with_type(error)}
    return {**result, "seconds": round(time.perf_counter() - begun, 1)}


def _without_tf32(part: Callable[[], Any]) -> Any:
    """Run a part with full float32 in matrix products and convolutions."""
    matrices, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matrices.allow_tf32, convolutions.allow_tf32
    matrices.allow_tf32 = convolutions.allow_tf32 = False
    try:
        return part()
    finally:
        matrices.allow_tf32, convolutions.allow_tf32 = before
