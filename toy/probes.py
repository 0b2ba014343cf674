"""Hypothesis strategies for a schedule or a diffusion that a user brings.

They ask nothing of it but alpha and sigma: no inverse, no derivative.
"""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from scipy.optimize import bisect

from theory.schedules import DiscreteSchedule, Schedule
from toy.diffusion import Diffusion, as_time
from toy.strategies import LOG_SNR_REACH, MIN_GAP, TimePair

PARTS = 1024


@dataclass(frozen=True)
class Point:
    """Two times s < t of a diffusion that is given, and a point x_t."""

    s: float
    t: float
    x_t: tuple[float, ...]


@st.composite
def times_between(draw: Any, schedule: Schedule) -> TimePair:
    """Two of the times that part the schedule into ``PARTS``, its ends left out."""
    part = st.integers(1, PARTS - 1)
    first, second = sorted(draw(st.tuples(part, part).filter(lambda n: n[0] != n[1])))
    length = (schedule.t_max - schedule.t_min) / PARTS
    return TimePair(schedule, schedule.t_min + first * length, schedule.t_min + second * length)


@st.composite
def times_found(draw: Any, schedule: Schedule) -> TimePair:
    """Two times, uniform in log-SNR where it lies between -12 and 12; of a table, its own."""
    if isinstance(schedule, DiscreteSchedule):
        index = st.integers(0, len(schedule.alphas_cumprod) - 1)
        pair = draw(st.tuples(index, index).filter(lambda pair: pair[0] != pair[1]))
        return TimePair(schedule, float(min(pair)), float(max(pair)))
    low, high = (_log_snr(schedule, t) for t in (schedule.t_max, schedule.t_min))
    low, high = max(low, -LOG_SNR_REACH), min(high, LOG_SNR_REACH)
    later = draw(st.floats(low + MIN_GAP, high - 3 * MIN_GAP))
    earlier = draw(st.floats(later + MIN_GAP, high - MIN_GAP))
    return TimePair(schedule, _time_at(schedule, earlier), _time_at(schedule, later))


def _log_snr(schedule: Schedule, t: float) -> float:
    return schedule.log_snr(as_time(t)).item()


def _time_at(schedule: Schedule, log_snr: float) -> float:
    return float(
        bisect(
            lambda t: _log_snr(schedule, t) - log_snr, schedule.t_min, schedule.t_max, xtol=1e-14
        )
    )


@st.composite
def points(draw: Any, diffusion: Diffusion) -> Point:
    """Points within five deviations of some component."""
    times = draw(times_found(diffusion.schedule))
    law = diffusion.marginal(times.t)
    near = draw(st.integers(0, len(law.log_weights) - 1))
    offset = draw(st.tuples(*[st.floats(-5.0, 5.0)] * law.dimension))
    deviations = law.covariances()[near].diagonal().sqrt().tolist()
    centre = law.means[near].tolist()
    x_t = (m + z * v for m, z, v in zip(centre, offset, deviations, strict=True))
    return Point(times.s, times.t, tuple(x_t))
