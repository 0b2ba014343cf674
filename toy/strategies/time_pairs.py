"""Strategies for schedules, and for two times s < t of one.

Times are drawn by log-SNR, over the part of a schedule where it lies within bounds.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from hypothesis import strategies as st

from theory.diffusion import schedules
from theory.diffusion.schedules import DiscreteSchedule, Schedule
from toy.mixtures.mixture import float64
from toy.strategies.numbers import number

LOG_SNR_LEAST, LOG_SNR_MOST = -14.0, 23.1
"""Noise ratios sigma/alpha from 1e-5 to 1e3."""

LOG_SNR_REACH = 12.0
"""Largest |log-SNR| of a user's schedule, and of two times that are near each other."""

MIN_GAP = 1e-3
"""Least difference of log-SNR between s and t."""


@dataclass(frozen=True)
class TimePair:
    """A schedule and two of its times, s < t."""

    schedule: Schedule
    s: float
    t: float


def time_pair(schedule: Schedule, log_snr_s: float, log_snr_t: float) -> TimePair:
    """The times of two log-SNRs, the larger first."""
    t, s = (schedule.time_of(float64(x)).item() for x in (log_snr_t, log_snr_s))
    return TimePair(schedule, s, t)


def log_snr_range(
    schedule: Schedule, least: float = LOG_SNR_LEAST, most: float = LOG_SNR_MOST
) -> tuple[float, float]:
    """Ends of the part of the schedule's log-SNR that lies between two values."""
    low, high = schedule.log_snr(float64([schedule.t_max, schedule.t_min])).tolist()
    return max(low, least), min(high, most)


def _table(first: float, gaps: list[float]) -> Schedule:
    log_snr = first - torch.cumsum(float64([0.0, *gaps]), 0)
    return DiscreteSchedule(torch.sigmoid(log_snr))


_LINEAR = st.builds(schedules.VPLinear, number(0.05, 1.0), number(5.0, 30.0))
_COSINE = st.builds(schedules.VPCosine, number(0.001, 0.05))
_GAPS = st.lists(number(0.1, 3.0), min_size=1, max_size=19)

SCHEDULES = st.one_of(
    _LINEAR, _COSINE, st.builds(schedules.VEGeometric, number(1e-5, 0.1), number(5.0, 1e3)),
    st.builds(schedules.EDM, number(1e-5, 0.002), number(80.0, 1e3)),
    st.just(schedules.RectifiedFlow()), st.builds(_table, number(2.0, 10.0), _GAPS),
)  # fmt: skip
"""Every kind of schedule, over its parameters; tables of up to 20 steps."""

SMOOTH_SCHEDULES = SCHEDULES.filter(lambda chosen: not isinstance(chosen, DiscreteSchedule))
"""Every kind of schedule but tables, which have corners."""

_SUB_VP = st.builds(schedules.SubVP, number(0.05, 1.0), number(5.0, 30.0))
_NOISELESS_AT_FIRST = st.one_of(_LINEAR, _SUB_VP, _COSINE, st.just(schedules.RectifiedFlow()))


@cache
def _wide(
    of: st.SearchStrategy[Schedule], width: float, low: float, high: float
) -> st.SearchStrategy[Schedule]:
    """Schedules whose log-SNR covers more than ``width`` between two bounds."""

    def is_wide(chosen: Schedule) -> bool:
        """Whether there is room for two times."""
        ends = log_snr_range(chosen, low, high)
        return ends[1] - ends[0] > width

    return of.filter(is_wide)


@cache
@st.composite
def time_pairs(
    draw: Any,
    of: st.SearchStrategy[Schedule] = SCHEDULES,
    least: float = MIN_GAP,
    most: float = math.inf,
    margin: float = MIN_GAP,
    low: float = LOG_SNR_LEAST,
    high: float = LOG_SNR_MOST,
) -> TimePair:
    """A schedule and two of its times.

    Args:
        draw: Hypothesis's own.
        of: schedules.
        least, most: bounds of the difference of their log-SNRs.
        margin: twice the log-SNR that is left above s.
        low, high: bounds of the log-SNR.
    """
    chosen = draw(_wide(of, least + 2 * margin, low, high))
    low, high = log_snr_range(chosen, low, high)
    later = draw(number(low, high - least - margin))
    earlier = draw(number(later + least, min(later + most, high - margin / 2)))
    return time_pair(chosen, earlier, later)


TIME_PAIRS = time_pairs()
"""Any two times of any schedule."""

DISTANT_TIME_PAIRS = time_pairs(SCHEDULES, 10.0, 14.0, 0.5)
"""Two times whose log-SNRs differ by 10 to 14: nearly all of the way."""


def near_time_pairs(
    least: float = 0.1, most: float = 0.5, of: st.SearchStrategy[Schedule] = SCHEDULES
) -> st.SearchStrategy[TimePair]:
    """A schedule and two of its times, of log-SNRs that differ by ``least`` to ``most``.

    Both lie between -12 and 12: they are for steps of time and limits of sums, which multiply the
    digits that a time loses at a schedule's end.
    """
    return time_pairs(of, least, most, least / 2, -LOG_SNR_REACH, LOG_SNR_REACH)


@cache
@st.composite
def moderate_time_pairs(draw: Any, low: float, high: float, least: float, most: float) -> TimePair:
    """Two times of a smooth schedule, at which errors of steps are far above rounding.

    Args:
        draw: Hypothesis's own.
        low, high: bounds of the log-SNR.
        least, most: bounds of the difference of their log-SNRs.
    """
    chosen = draw(SMOOTH_SCHEDULES)
    ends = log_snr_range(chosen, low, high)
    width = draw(number(least, most))
    later = draw(number(ends[0], ends[1] - width))
    return time_pair(chosen, later + width, later)


@cache
@st.composite
def time_pairs_from_data(draw: Any) -> TimePair:
    """A schedule that starts without noise, s where it does, and a time."""
    chosen = draw(_NOISELESS_AT_FIRST)
    log_snr = draw(number(*log_snr_range(chosen)))
    return TimePair(chosen, chosen.t_min, chosen.time_of(float64(log_snr)).item())
