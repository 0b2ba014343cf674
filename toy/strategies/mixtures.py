"""Hypothesis strategies: what the statements are tried on.

Cases are frozen dataclasses of plain numbers, so that a shrunk counterexample can be read. Times
are drawn by log-SNR, over the part of each schedule where sigma/alpha lies between 1e-5 and 1e3.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from theory.diffusion import schedules, targets
from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import Target
from toy.mixtures.diffusion import Diffusion, as_time
from toy.mixtures.mixture import GaussianMixture
from toy.mixtures.planted_error import Misfit

LOG_SNR_REACH = 12.0
"""How far from zero log-SNR goes for what a user brings, and for two times that are near."""

LOG_SNR_LEAST, LOG_SNR_MOST = -14.0, 23.1
"""Noise ratios sigma/alpha from 1e-5 to 1e3."""

MIN_GAP = 1e-3
"""Least difference of log-SNR between s and t."""


@dataclass(frozen=True)
class Components:
    """A mixture in d = 1, 2 or 3: axes of standard deviations, turned by an angle in the first plane."""

    weights: tuple[float, ...]
    means: tuple[tuple[float, ...], ...]
    deviations: tuple[tuple[float, ...], ...]
    angles: tuple[float, ...]

    def mixture(self) -> GaussianMixture:
        """The mixture itself: full covariances from two dimensions up."""
        weights, means, deviations = (
            torch.tensor(numbers, dtype=torch.float64)
            for numbers in (self.weights, self.means, self.deviations)
        )
        if means.shape[1] == 1:
            return GaussianMixture.diagonal(weights, means, deviations**2)
        turns = torch.eye(means.shape[1], dtype=torch.float64).repeat(len(self.angles), 1, 1)
        angles = torch.tensor(self.angles, dtype=torch.float64)
        turns[:, 0, 0] = turns[:, 1, 1] = torch.cos(angles)
        turns[:, 1, 0] = torch.sin(angles)
        turns[:, 0, 1] = -torch.sin(angles)
        covariances = turns @ torch.diag_embed(deviations**2) @ turns.mT
        return GaussianMixture.full(weights, means, covariances)


@dataclass(frozen=True)
class TimePair:
    """A schedule and s < t."""

    schedule: Schedule
    s: float
    t: float


@dataclass(frozen=True)
class ReverseCase:
    """A diffusion seen from x_t, which lies ``offset`` deviations from component ``near``."""

    components: Components
    times: TimePair
    near: int
    offset: tuple[float, ...]

    @property
    def diffusion(self) -> Diffusion:
        return Diffusion(self.components.mixture(), self.times.schedule)

    def x_t(self) -> Tensor:
        """(d,)."""
        law = self.diffusion.marginal(self.times.t)
        deviation = torch.diagonal(law.covariances()[self.near]).sqrt()
        return law.means[self.near] + torch.tensor(self.offset, dtype=torch.float64) * deviation


@dataclass(frozen=True)
class AtomicCase:
    """A diffusion of point masses seen from x_t, which lies ``offset`` sigma_t from one of them."""

    weights: tuple[float, ...]
    points: tuple[tuple[float, ...], ...]
    times: TimePair
    near: int
    offset: tuple[float, ...]

    @property
    def diffusion(self) -> Diffusion:
        weights, points = (
            torch.tensor(numbers, dtype=torch.float64) for numbers in (self.weights, self.points)
        )
        return Diffusion(GaussianMixture.atoms(weights, points), self.times.schedule)

    def x_t(self) -> Tensor:
        """(d,)."""
        law = self.diffusion.marginal(self.times.t)
        offset = torch.tensor(self.offset, dtype=torch.float64)
        return law.means[self.near] + offset * law.variances[self.near].sqrt()


@dataclass(frozen=True)
class ShiftedCase:
    """A reverse case, and the shift h of the data whose likelihood ratio is followed."""

    reverse: ReverseCase
    h: tuple[float, ...]


@dataclass(frozen=True)
class GaussianCase:
    """One Gaussian N(0, variance) on the line, and how many standard deviations a tail lies out."""

    times: TimePair
    variance: float
    deviations: float

    @property
    def diffusion(self) -> Diffusion:
        one = torch.ones(1, dtype=torch.float64)
        return Diffusion(
            GaussianMixture.diagonal(one, 0 * one[:, None], self.variance * one),
            self.times.schedule,
        )


@dataclass(frozen=True)
class MisfitCase:
    """A one-dimensional model with planted error, and a shift to try on it."""

    components: Components
    times: TimePair
    target: Target
    constant: float
    slope: float
    amplitude: float
    frequency: float
    shift: float

    def model(self) -> Misfit:
        constant = torch.tensor([self.constant], dtype=torch.float64)
        return Misfit(
            Diffusion(self.components.mixture(), self.times.schedule), self.target,
            lambda t: constant, self.slope, self.amplitude, self.frequency,
        )  # fmt: skip


@dataclass(frozen=True)
class ConversionCase:
    """A prediction y of one target at x_t, to be expressed as another."""

    schedule: Schedule
    t: float
    source: Target
    to: Target
    x_0: float
    e: float
    eta: float


@cache
def _number(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


@cache
def numbers(low: float, high: float, *shape: int) -> st.SearchStrategy[Any]:
    """Tuples of that many numbers, of that many tuples of numbers, and so on."""
    if not shape:
        return _number(low, high)
    return st.tuples(*[numbers(low, high, *shape[1:])] * shape[0])


@cache
@st.composite
def components(
    draw: Any, dimension: int, reach: float = 10.0, least: float = 0.05, most: float = 3.0
) -> Components:
    """Up to four components with means within ``reach`` and deviations from ``least`` to ``most``."""
    count = draw(st.integers(1, 4 if dimension == 1 else 3))
    return Components(
        draw(numbers(1e-3, 1.0, count)),
        draw(numbers(-reach, reach, count, dimension)),
        draw(numbers(least, most, count, dimension)),
        draw(numbers(0.0, math.pi, count)) if dimension > 1 else (),
    )


@cache
def schedule() -> st.SearchStrategy[Schedule]:
    """Every kind of schedule, over its parameters; tables of up to 20 steps."""
    gaps = st.lists(_number(0.1, 3.0), min_size=1, max_size=19)
    return st.one_of(
        st.builds(schedules.VPLinear, _number(0.05, 1.0), _number(5.0, 30.0)),
        st.builds(schedules.VPCosine, _number(0.001, 0.05)),
        st.builds(schedules.VEGeometric, _number(1e-5, 0.1), _number(5.0, 1e3)),
        st.builds(schedules.EDM, _number(1e-5, 0.002), _number(80.0, 1e3)),
        st.just(schedules.RectifiedFlow()),
        st.builds(_table, _number(2.0, 10.0), gaps),
    )


def _table(first: float, gaps: list[float]) -> Schedule:
    log_snr = first - torch.cumsum(torch.tensor([0.0, *gaps], dtype=torch.float64), 0)
    return schedules.DiscreteSchedule(torch.sigmoid(log_snr))


def log_snr_range(
    chosen: Schedule, least: float = LOG_SNR_LEAST, most: float = LOG_SNR_MOST
) -> tuple[float, float]:
    """The part of the schedule's log-SNR that lies between two values."""
    low, high = (chosen.log_snr(as_time(t)).item() for t in (chosen.t_max, chosen.t_min))
    return max(low, least), min(high, most)


@cache
def _roomy(of: st.SearchStrategy[Schedule] | None, most: float) -> st.SearchStrategy[Schedule]:
    """Schedules with room for two times. Hypothesis checks a strategy anew each time it is made."""

    def has_room(chosen: Schedule) -> bool:
        low, high = log_snr_range(chosen, most=most)
        return high - low > 3 * MIN_GAP

    return (schedule() if of is None else of).filter(has_room)


@cache
@st.composite
def times(
    draw: Any, of: st.SearchStrategy[Schedule] | None = None, most: float = LOG_SNR_MOST
) -> TimePair:
    """A schedule and two of its times, of log-SNR ``most`` at most."""
    chosen = draw(_roomy(of, most))
    low, high = log_snr_range(chosen, most=most)
    later = draw(_number(low, high - 2 * MIN_GAP))
    earlier = draw(_number(later + MIN_GAP, high - MIN_GAP / 2))
    t, s = (chosen.time_of(as_time(x)).item() for x in (later, earlier))
    return TimePair(chosen, s, t)


@cache
def _noiseless_at_first() -> st.SearchStrategy[Schedule]:
    return st.one_of(
        st.builds(schedules.VPLinear, _number(0.05, 1.0), _number(5.0, 30.0)),
        st.builds(schedules.SubVP, _number(0.05, 1.0), _number(5.0, 30.0)),
        st.builds(schedules.VPCosine, _number(0.001, 0.05)),
        st.just(schedules.RectifiedFlow()),
    )


@cache
@st.composite
def times_from_data(draw: Any) -> TimePair:
    """A schedule that starts without noise, s where it does, and a time."""
    chosen = draw(_noiseless_at_first())
    log_snr = draw(_number(*log_snr_range(chosen)))
    return TimePair(chosen, chosen.t_min, chosen.time_of(as_time(log_snr)).item())


@cache
@st.composite
def reverse_cases(
    draw: Any,
    dimension: int,
    reach: float,
    least: float,
    most: float = 3.0,
    pairs: st.SearchStrategy[TimePair] | None = None,
) -> ReverseCase:
    """Points within five deviations of some component."""
    mixture = draw(components(dimension, reach, least, most))
    return ReverseCase(
        mixture,
        draw(times() if pairs is None else pairs),
        draw(st.integers(0, len(mixture.weights) - 1)),
        draw(numbers(-5.0, 5.0, dimension)),
    )


@cache
@st.composite
def atomic_cases(
    draw: Any, dimension: int, reach: float, pairs: st.SearchStrategy[TimePair] | None = None
) -> AtomicCase:
    """Up to four points within ``reach``, with weights down to 1e-12."""
    count = draw(st.integers(1, 4))
    return AtomicCase(
        draw(st.tuples(*[_number(-12.0, 0.0).map(lambda x: 10**x)] * count)),
        draw(numbers(-reach, reach, count, dimension)),
        draw(times() if pairs is None else pairs),
        draw(st.integers(0, count - 1)),
        draw(numbers(-5.0, 5.0, dimension)),
    )


@cache
def shifted_cases(
    dimension: int, reach: float, least: float, most: float = 3.0, farthest: float = 3.0
) -> st.SearchStrategy[ShiftedCase]:
    """Reverse cases with shifts whose entries are ``farthest`` at most."""
    return st.builds(
        ShiftedCase,
        reverse_cases(dimension, reach, least, most),
        numbers(-farthest, farthest, dimension),
    )


@cache
def gaussian_cases() -> st.SearchStrategy[GaussianCase]:
    """Variances from 1e-4 to 1e4, tails from half a standard deviation to six."""
    return st.builds(
        GaussianCase, times(), _number(-4.0, 4.0).map(lambda x: 10**x), _number(0.5, 6.0)
    )


@cache
def misfit_cases() -> st.SearchStrategy[MisfitCase]:
    """One-dimensional models with all planted errors, any target."""
    return st.builds(
        MisfitCase,
        components(1, reach=4.0, least=0.3),
        times(),
        st.sampled_from(list(targets.NAMED.values())),
        _number(-2.0, 2.0),
        _number(-1.0, 1.0),
        _number(-1.0, 1.0),
        _number(0.1, 2.0),
        _number(-2.0, 2.0),
    )


@cache
@st.composite
def conversion_cases(draw: Any) -> ConversionCase:
    """Any two targets at any time."""
    pair = draw(times())
    target = st.sampled_from(list(targets.NAMED.values()))
    return ConversionCase(
        pair.schedule,
        pair.t,
        draw(target),
        draw(target),
        *(draw(_number(-3.0, 3.0)) for _ in range(3)),
    )
