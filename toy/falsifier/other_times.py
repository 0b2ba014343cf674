"""Times that a time may be taken for by mistake."""

import math

from theory.diffusion.schedules import DiscreteSchedule, Schedule
from toy.falsifier.sweeps import is_time


def other_times(schedule: Schedule, t: float) -> dict[str, float | None]:
    """Other times that t may be taken for; None for one that the schedule does not have."""
    low, high = schedule.t_min, schedule.t_max
    step = 1.0 if isinstance(schedule, DiscreteSchedule) else (high - low) / 1000
    others = {
        "time: backwards, at t_min + t_max - t": low + high - t,
        "time: backwards, at 1 - t": 1 - t,
        "time: one step early": t - step,
        "time: one step late": t + step,
        "time: 0.001 early": t - 0.001,
        "time: 0.001 late": t + 0.001,
        "time: rounded down to a whole number of 1/1000": math.floor(1000 * t) / 1000,
        "time: rounded down to a whole number of 1/100": math.floor(100 * t) / 100,
        "time: rounded to a whole number of 1/1000": round(1000 * t) / 1000,
        "time: rounded to a whole number of 1/100": round(100 * t) / 100,
    }
    return {name: u if is_time(schedule, u) else None for name, u in others.items()}
