"""Noise schedules of Gaussian diffusion.

Notation: x_t = alpha_t x_0 + sigma_t e with e ~ N(0, I), alpha_t > 0, sigma_t > 0, and
SNR = alpha_t^2 / sigma_t^2 strictly decreasing in t. log_snr is lambda_t = log SNR.

The forward SDE is dx = f x dt + g dw with f = d log alpha / dt and
g^2 = d(sigma^2)/dt - 2 f sigma^2 = -sigma^2 d lambda/dt. For s < t the forward transition is
x_t | x_s ~ N(A x_s, V I), A = alpha_t / alpha_s, V = sigma_t^2 - A^2 sigma_s^2.

Everything is computed in float64. Times are tensors of any shape.
"""

import math

from theory.diffusion.schedules.base import GRID_LOG_SNR, Schedule, Times
from theory.diffusion.schedules.continuous import (
    EDM,
    RectifiedFlow,
    SubVP,
    VarianceExploding,
    VariancePreserving,
    VEGeometric,
    VPCosine,
    VPLinear,
)
from theory.diffusion.schedules.discrete import DiscreteSchedule
from theory.support.errors import InputError

__all__ = [
    "EDM",
    "GRID_LOG_SNR",
    "NAMED",
    "DiscreteSchedule",
    "RectifiedFlow",
    "Schedule",
    "SubVP",
    "Times",
    "VEGeometric",
    "VPCosine",
    "VPLinear",
    "VarianceExploding",
    "VariancePreserving",
    "from_description",
    "require_storable",
]

NAMED: dict[str, type[Schedule]] = {
    kind.name: kind
    for kind in (VPLinear, VPCosine, SubVP, VEGeometric, EDM, RectifiedFlow, DiscreteSchedule)
}
"""The schedules by name, as descriptions have it."""


def require_storable(schedule: Schedule) -> None:
    """Refuse a schedule that no file can hold, as ``from_description`` would not know it again.

    Raises:
        InputError: a schedule of the user's own.
    """
    if type(schedule) not in NAMED.values():
        raise InputError(
            f"schedule: expected one that a file can hold, {', '.join(k.__name__ for k in NAMED.values())}, "
            f"got {type(schedule).__name__}"
        )


def from_description(description: dict[str, object]) -> Schedule:
    """The schedule of a description: the inverse of ``Schedule.describe``.

    Raises:
        InputError: an unknown name, unknown parameters, or values that are no finite numbers.
    """
    parameters = dict(description)
    name = parameters.pop("name", None)
    if not isinstance(name, str) or name not in NAMED:
        raise InputError(f"schedule: expected one of {', '.join(NAMED)}, got {name!r:.60}")
    for parameter, value in parameters.items():
        if not all(map(_is_finite, value if isinstance(value, list | tuple) else [value])):
            raise InputError(
                f"schedule {name}: expected finite numbers as {parameter!r:.60}, got {value!r:.60}"
            )
    try:
        return NAMED[str(name)](**parameters)
    except TypeError as error:
        raise InputError(f"schedule {name}: {error}") from error


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
