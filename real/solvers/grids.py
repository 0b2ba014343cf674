"""Where solvers evaluate a network: n of its times, the noisiest first.

A network of a discrete table is given whole times only, and no two alike; the noise level of a
time is always the schedule's own at just that time.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from theory.diffusion.schedules import DiscreteSchedule, Schedule
from theory.support.errors import InputError

RHO = 7.0
"""Karras et al. (2022), equation 5."""


def evenly_in_log_snr(schedule: Schedule, n: int) -> Tensor:
    """Equally spaced in log-SNR, from the first time of finite log-SNR to the last."""
    first, last = schedule.log_snr(_ends(schedule)).tolist()
    return own_times(schedule, torch.linspace(first, last, n, dtype=torch.float64))


def karras(schedule: Schedule, n: int) -> Tensor:
    """Equally spaced in r^(1/7), r = sigma/alpha: EDM's times."""
    root = torch.exp(-schedule.log_snr(_ends(schedule)) / 2) ** (1 / RHO)
    ramp = torch.linspace(root[0].item(), root[1].item(), n, dtype=torch.float64)
    return own_times(schedule, -2 * RHO * torch.log(ramp))


def evenly_in_flow(schedule: Schedule, n: int, shift: float) -> Tensor:
    """Equally spaced in sigma/(alpha + sigma), the time of flow matching, down to one n-th.

    A ``shift`` other than 1 moves them to more noise (Esser et al. 2024, equation 23).
    """
    t_max = torch.tensor([schedule.t_max], dtype=torch.float64)
    alpha, sigma = schedule.alpha(t_max), schedule.sigma(t_max)
    level = (sigma / (alpha + sigma)).item() * torch.arange(n, 0, -1, dtype=torch.float64) / n
    level = shift * level / (1 + (shift - 1) * level)
    return own_times(schedule, -2 * torch.logit(level))


def as_trained(schedule: Schedule, n: int, hints: Mapping[str, Any]) -> Tensor:
    """Times of a table as the network's configuration spaces them; else evenly in log-SNR.

    Raises:
        InputError: more times than the table has, or an unknown spacing.
    """
    if not isinstance(schedule, DiscreteSchedule):
        return evenly_in_log_snr(schedule, n)
    size = _require_room(schedule, n)
    match hints.get("timestep_spacing", "leading"):
        case "leading":
            offset = hints.get("steps_offset", 0)
            times = (torch.arange(n) * (size // n) + offset).clamp(max=size - 1).flip(0)
        case "trailing":
            times = (size - torch.arange(n, dtype=torch.float64) * size / n).round().long() - 1
        case "linspace":
            times = torch.linspace(size - 1, 0, n, dtype=torch.float64).round().long()
        case other:
            raise InputError(
                f"timestep_spacing: expected leading, trailing or linspace, got {other!r}"
            )
    return _apart(times, size)


def own_times(schedule: Schedule, log_snr: Tensor) -> Tensor:
    """Times of these rising log-SNRs (n,) that the network can take: float64, or int64 of a table.

    Raises:
        InputError: more times than the table has.
    """
    times = schedule.time_of(log_snr)
    if not isinstance(schedule, DiscreteSchedule):
        return times.clamp(schedule.t_min, schedule.t_max)
    size = _require_room(schedule, len(times))
    return _apart(times.round().long(), size)


def _ends(schedule: Schedule) -> Tensor:
    """The noisiest and the cleanest time of finite log-SNR."""
    return schedule.grid(2).flip(0)


def _require_room(schedule: DiscreteSchedule, n: int) -> int:
    size = len(schedule.alphas_cumprod)
    if n > size:
        raise InputError(f"solver: expected at most {size} steps, as many as the table, got {n}")
    return size


def _apart(times: Tensor, size: int) -> Tensor:
    """Falling whole times (n,), moved as little as possible so that all differ and lie in the table."""
    rank = torch.arange(len(times))
    least = torch.cummax(times.flip(0).clamp(0, size - 1) - rank, 0).values + rank
    return torch.minimum(least, size - len(times) + rank).flip(0)
