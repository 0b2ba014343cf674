"""Strategies for a user's schedule or diffusion.

Times are found by bisection of the log-SNR, so that only alpha and sigma of a schedule are used, and
neither its inverse nor its derivatives.
"""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from hypothesis import strategies as st
from scipy.optimize import bisect

from theory.diffusion.schedules import DiscreteSchedule, Schedule
from theory.support.errors import InputError
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import float64
from toy.strategies.numbers import number_tuple
from toy.strategies.time_pairs import LOG_SNR_REACH, MIN_GAP, TimePair, log_snr_range

PARTS = 1024
"""Parts of a schedule, of equal time."""


@dataclass(frozen=True)
class Point:
    """Two times s < t of a given diffusion, and a point x_t."""

    s: float
    t: float
    x_t: tuple[float, ...]


@st.composite
def ends_of_parts(draw: Any, schedule: Schedule) -> TimePair:
    """Two ends of the schedule's ``PARTS``, but its own."""
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
    low, high = searched_log_snr(schedule)
    later = draw(st.floats(low + MIN_GAP, high - 3 * MIN_GAP))
    earlier = draw(st.floats(later + MIN_GAP, high - MIN_GAP))
    return TimePair(schedule, time_at(schedule, earlier), time_at(schedule, later))


@st.composite
def times_apart(draw: Any, schedule: Schedule, other: TimePair) -> TimePair:
    """Two times as far apart in log-SNR as those of another schedule are, or as this one allows."""
    low, high = searched_log_snr(schedule)
    gap = _log_snr(other.schedule, other.s) - _log_snr(other.schedule, other.t)
    gap = min(gap, high - low - 2 * MIN_GAP)
    later = draw(st.floats(low + MIN_GAP / 2, high - gap - MIN_GAP / 2))
    return TimePair(schedule, time_at(schedule, later + gap), time_at(schedule, later))


@st.composite
def moved_to_schedule(draw: Any, cases: st.SearchStrategy[Any], schedule: Schedule) -> Any:
    """Cases of any claim on this schedule instead of their own; two times keep their distance."""
    case = draw(cases)
    own = times_of(case)
    pair = times_found(schedule) if own is None else times_apart(schedule, own)
    return _moved(case, draw(pair))


def times_of(case: Any) -> TimePair | None:
    """The two times of a case, or of a case in it."""
    if isinstance(case, TimePair):
        return case
    inner = (getattr(case, f.name) for f in fields(case))
    found = (times_of(value) for value in inner if is_case(value))
    return next((pair for pair in found if pair is not None), None)


def is_case(value: Any) -> bool:
    """Whether a value is a case with parts of its own."""
    return is_dataclass(value) and not isinstance(value, type | Schedule)


def _moved(case: Any, pair: TimePair) -> Any:
    if isinstance(case, TimePair):
        return pair
    changes: dict[str, Any] = {}
    for name in (f.name for f in fields(case) if f.init):
        value = getattr(case, name)
        if isinstance(value, Schedule):
            changes[name] = pair.schedule
        elif name == "t":
            changes[name] = pair.t
        elif is_case(value):
            changes[name] = _moved(value, pair)
    return replace(case, **changes)


def searched_log_snr(schedule: Schedule) -> tuple[float, float]:
    """Ends of the log-SNR between -12 and 12.

    Raises:
        InputError: it hardly falls there.
    """
    low, high = log_snr_range(schedule, -LOG_SNR_REACH, LOG_SNR_REACH)
    if not high - low > 5 * MIN_GAP:
        raise InputError(
            f"schedule: expected a log-SNR that falls by more than {5 * MIN_GAP:g} between "
            f"{LOG_SNR_REACH:g} and {-LOG_SNR_REACH:g}, got {high:g} to {low:g}"
        )
    return low, high


def _log_snr(schedule: Schedule, t: float) -> float:
    return schedule.log_snr(float64(t)).item()


def time_at(schedule: Schedule, log_snr: float) -> float:
    """The time of a log-SNR, by bisection."""

    def excess(t: float) -> float:
        """The log-SNR at t above the one that is looked for."""
        return _log_snr(schedule, t) - log_snr

    return float(bisect(excess, schedule.t_min, schedule.t_max, xtol=1e-14))


@st.composite
def points_of(draw: Any, diffusion: Diffusion) -> Point:
    """Points within five deviations of some component."""
    times = draw(times_found(diffusion.schedule))
    law = diffusion.marginal(times.t)
    near = draw(st.integers(0, len(law.log_weights) - 1))
    offset = draw(number_tuple(-5.0, 5.0, law.dimension))
    deviations = law.covariances()[near].diagonal().sqrt().tolist()
    centre = law.means[near].tolist()
    x_t = (m + z * v for m, z, v in zip(centre, offset, deviations, strict=True))
    return Point(times.s, times.t, tuple(x_t))
