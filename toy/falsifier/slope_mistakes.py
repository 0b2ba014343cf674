"""Which mistake gives a slope of alpha or sigma that is not its derivative."""

from collections.abc import Callable

import torch
from torch import Tensor

from theory.diffusion import schedules
from theory.diffusion.schedules import DiscreteSchedule, Schedule

OTHERS = {
    "VPLinear()": schedules.VPLinear(),
    "VPCosine()": schedules.VPCosine(),
    "RectifiedFlow()": schedules.RectifiedFlow(),
    "EDM()": schedules.EDM(),
    "cos(pi t/2) and sin(pi t/2)": schedules.VPCosine(0.0),
}
"""Schedules that another one may be taken for, by name."""

STEPS = tuple(10.0**-k for k in range(1, 9))
"""Of difference quotients."""

CLOSE = 0.02
"""How well the error of a difference quotient must be met, relative."""

FEWEST = 3


def other_slopes(name: str, t: Tensor) -> dict[str, Tensor]:
    """The slopes d_alpha or d_sigma that other schedules have at these times."""
    return {
        f"another schedule: the {name} of {called}": getattr(other, name)(t)
        for called, other in OTHERS.items()
    }


def difference_quotient(
    of: Callable[[Tensor], Tensor], schedule: Schedule, t: Tensor, got: Tensor, expected: Tensor
) -> str:
    """The kind and step of the difference quotient that gives these slopes, or an empty text.

    Args:
        of: alpha or sigma.
        schedule: whose it is.
        t, got, expected: times, the slopes that came, and the derivatives, (n,).
    """
    if isinstance(schedule, DiscreteSchedule):
        return ""
    for step in STEPS:
        for kind, low, high in (
            ("forward", 0.0, step), ("backward", -step, 0.0), ("central", -step, step),
        ):  # fmt: skip
            inside = (t + low >= schedule.t_min) & (t + high <= schedule.t_max)
            if inside.sum() < FEWEST:
                continue
            u = t[inside]
            quotient = (of(u + high) - of(u + low)).detach() / (high - low)
            error, off = quotient - expected[inside], (got - expected)[inside]
            rounding = 4 * torch.finfo(torch.float64).eps * of(u).detach().abs().max() / step
            if (error.abs() > 10 * rounding).sum() < FEWEST:
                continue
            if ((off - error).abs() <= CLOSE * error.abs() + rounding).all():
                return f"a {kind} difference with step {step:g}, not the derivative"
    return ""
