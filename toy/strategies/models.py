"""Hypothesis strategies for models: guided, misfit, with features, amortized shifts."""

import itertools
import math
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from theory.diffusion import targets
from theory.diffusion.schedules import DiscreteSchedule, Schedule
from toy.mixtures.affine_model import AffineModel
from toy.mixtures.diffusion import Diffusion, as_time
from toy.mixtures.planted_error import Misfit
from toy.strategies.guided import GuidedCase
from toy.strategies.mixtures import (
    LOG_SNR_REACH,
    Components,
    MisfitCase,
    TimePair,
    components,
    log_snr_range,
    misfit_cases,
    schedule,
    times,
)

TARGETS = st.sampled_from(list(targets.NAMED.values()))


@dataclass(frozen=True)
class FieldCase:
    """A score in two dimensions with a constant and a wave as its error, a shift, and a point."""

    components: Components
    times: TimePair
    constant: tuple[float, float]
    amplitude: float
    shift: tuple[float, float]
    offset: tuple[float, float]


@dataclass(frozen=True)
class TiltCase:
    """A one-dimensional mixture, a shift in units of its widest deviation, and a point."""

    components: Components
    shift: float
    offset: float


@dataclass(frozen=True)
class TailCase:
    """A density with tails of some kind and parameter, and a shift."""

    kind: str
    parameter: float
    eta: float


@dataclass(frozen=True)
class AmortizedCase:
    """A shift over time: coefficients in the basis, and so much of a wave outside it."""

    schedule: Schedule
    coefficients: tuple[float, ...]
    wave: float

    def times(self, n: int = 24) -> Tensor:
        """Times spread evenly between the schedule's ends, (n,)."""
        return self.schedule.grid(n)


@dataclass(frozen=True)
class LikelihoodCase:
    """Data, and an affine model of it whose prior misses by ``offset`` and ``ratio`` sigma/alpha."""

    components: Components
    times: TimePair
    slope: float
    centre: float
    bias: float
    offset: float
    ratio: float

    @cached_property
    def diffusion(self) -> Diffusion:
        """Of the data."""
        return Diffusion(self.components.mixture(), self.times.schedule)

    @cached_property
    def model(self) -> AffineModel:
        """The model; offset and bias are in units of sigma/alpha at t, to be felt at any noise."""
        unit = math.exp(-self.times.schedule.log_snr(as_time(self.times.t)).item() / 2)
        mean = self.centre + self.offset * unit
        return AffineModel(
            self.times.schedule, self.slope, self.centre, self.bias * unit, 0.0, mean, self.ratio
        )

    def squared_noise_error(self, times: Tensor) -> Tensor:
        """E|e_theta - E[e|x_t]|^2 for data of the first component alone, at times (n,)."""
        schedule, model = self.times.schedule, self.model
        mean, variance = self.components.means[0][0], self.components.deviations[0][0] ** 2
        alpha, sigma = schedule.alpha(times), schedule.sigma(times)
        c = alpha**2 * variance + sigma**2
        average = alpha * (model.slope * (mean - model.centre) + model.bias) / sigma
        return average**2 + c * (model.slope / sigma - sigma / c) ** 2


@dataclass(frozen=True)
class FlowCase:
    """Two mixtures under one schedule, and a point in deviations of the model's first component."""

    components: Components
    others: Components
    times: TimePair
    offset: float

    @cached_property
    def data(self) -> Diffusion:
        """Of the data."""
        return Diffusion(self.components.mixture(), self.times.schedule)

    @cached_property
    def model(self) -> Diffusion:
        """Whose score the model has."""
        return Diffusion(self.others.mixture(), self.times.schedule)


@dataclass(frozen=True)
class LineCase:
    """One Gaussian N(mean, deviation^2) and x_t, ``offset`` deviations of q_t from its mean."""

    mean: float
    deviation: float
    times: TimePair
    offset: float

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t and c_t = alpha_t^2 v + sigma_t^2."""
        alpha_t = self.times.schedule.alpha(t)
        return alpha_t, alpha_t**2 * self.deviation**2 + self.times.schedule.sigma(t) ** 2

    def score(self, x: Tensor, t: Tensor) -> Tensor:
        """grad log q_t(x)."""
        alpha_t, c_t = self.scales(t)
        return -(x - alpha_t * self.mean) / c_t

    def propagator(self, t: Tensor) -> Tensor:
        """Phi(s, t) = (alpha_t / alpha_s) c_s / c_t, from times t to the case's own s."""
        (alpha_s, c_s), (alpha_t, c_t) = self.scales(as_time(self.times.s)), self.scales(t)
        return alpha_t / alpha_s * c_s / c_t

    def x_t(self) -> float:
        """Where the chain starts."""
        alpha_t, c_t = self.scales(as_time(self.times.t))
        return (alpha_t * self.mean + self.offset * c_t.sqrt()).item()


@dataclass(frozen=True)
class RegressionCase:
    """A model with planted error, which also scales, and two features to regress it on."""

    misfit: MisfitCase
    scale: float
    features: tuple[str, str]

    @cached_property
    def model(self) -> Misfit:
        """The model."""
        return replace(self.misfit.model(), scale=self.scale)


@dataclass(frozen=True)
class StateCase:
    """A diffusion at a time, and coefficients of a polynomial of x_t, from the lowest."""

    components: Components
    times: TimePair
    coefficients: tuple[float, ...]

    @cached_property
    def diffusion(self) -> Diffusion:
        """Of the data."""
        return Diffusion(self.components.mixture(), self.times.schedule)

    def polynomial(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Its value and its derivative."""
        value, slope = torch.zeros_like(x), torch.zeros_like(x)
        for coefficient in reversed(self.coefficients):
            slope = slope * x + value
            value = value * x + coefficient
        return value, slope


@dataclass(frozen=True)
class PreconditionCase:
    """Some output of an EDM network, at x = x_t/alpha_t and any sigma_data."""

    times: TimePair
    sigma_data: float
    x: float
    output: float


@cache
def _number(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


@cache
def _pair(reach: float) -> st.SearchStrategy[Any]:
    return st.tuples(_number(-reach, reach), _number(-reach, reach))


@cache
@st.composite
def guided_cases(draw: Any) -> GuidedCase:
    """One-dimensional mixtures of labels, a planted error in each branch."""
    mixture = draw(components(1, reach=4.0, least=0.3))
    labels = len(mixture.weights)
    return GuidedCase(
        mixture,
        draw(times()),
        draw(TARGETS),
        draw(st.tuples(*[_number(-2.0, 2.0)] * (labels + 1))),
        draw(_number(-1.0, 1.0)),
        draw(_number(0.0, 4.0)),
        draw(st.integers(0, labels - 1)),
        draw(_number(-3.0, 3.0)),
    )


@cache
def field_cases() -> st.SearchStrategy[FieldCase]:
    """Two-dimensional scores with planted error."""
    return st.builds(
        FieldCase,
        components(2, reach=4.0, least=0.3),
        times(),
        _pair(2.0),
        _number(-1.0, 1.0),
        _pair(2.0),
        _pair(3.0),
    )


@cache
def tilt_cases() -> st.SearchStrategy[TiltCase]:
    """One-dimensional mixtures and shifts that move their mass by a deviation at most."""
    return st.builds(
        TiltCase, components(1, reach=4.0, least=0.3), _number(-1.0, 1.0), _number(-3.0, 3.0)
    )


@cache
def tail_cases() -> st.SearchStrategy[TailCase]:
    """Gaussian, exponential and power tails; shifts clear of the exponential's own rate."""
    return st.builds(
        TailCase,
        st.sampled_from(["gauss", "laplace", "student"]),
        _number(0.5, 5.0),
        _number(-10.0, 10.0).filter(lambda eta: eta == 0 or abs(eta) > 1e-3),
    ).filter(lambda c: c.kind != "laplace" or abs(abs(c.eta) * c.parameter - 1) > 1e-3)


@cache
def amortized_cases() -> st.SearchStrategy[AmortizedCase]:
    """Polynomials of log-SNR up to degree 4, with a wave or without."""
    return st.builds(
        AmortizedCase,
        schedule().filter(lambda chosen: len(chosen.grid(24)) > 6),
        st.lists(_number(-2.0, 2.0), min_size=1, max_size=5).map(tuple),
        st.just(0.0) | _number(0.1, 2.0),
    )


@cache
@st.composite
def near_times(
    draw: Any,
    least: float = 0.1,
    most: float = 0.5,
    of: st.SearchStrategy[Schedule] | None = None,
) -> TimePair:
    """A schedule and two of its times, of log-SNRs that differ by ``least`` to ``most``.

    Both lie between -12 and 12: steps of time and limits of sums are what these are for, and the
    digits that a time loses to a schedule's end are multiplied by each.
    """
    chosen = draw(_wide(of, 2 * least))
    low, high = _ordinary(chosen)
    later = draw(_number(low, high - 1.5 * least))
    earlier = draw(_number(later + least, min(later + most, high - least / 4)))
    t, s = (chosen.time_of(as_time(x)).item() for x in (later, earlier))
    return TimePair(chosen, s, t)


@cache
def smooth() -> st.SearchStrategy[Schedule]:
    """Every kind of schedule but tables, which have corners."""
    return schedule().filter(lambda chosen: not isinstance(chosen, DiscreteSchedule))


@cache
def _wide(of: st.SearchStrategy[Schedule] | None, least: float) -> st.SearchStrategy[Schedule]:
    def is_wide(chosen: Schedule) -> bool:
        low, high = _ordinary(chosen)
        return high - low > least

    return (schedule() if of is None else of).filter(is_wide)


def _ordinary(chosen: Schedule) -> tuple[float, float]:
    return log_snr_range(chosen, -LOG_SNR_REACH, LOG_SNR_REACH)


@cache
def likelihood_cases() -> st.SearchStrategy[LikelihoodCase]:
    """Affine models of one-dimensional mixtures, over a log-SNR gap of at most a half."""
    return st.builds(
        LikelihoodCase,
        components(1, reach=2.0, least=0.5),
        near_times(),
        _number(0.6, 1.5),
        _number(-2.0, 2.0),
        _number(-1.0, 1.0),
        _number(-1.0, 1.0),
        _number(0.5, 2.0),
    )


@cache
def flow_cases() -> st.SearchStrategy[FlowCase]:
    """Two one-dimensional mixtures, over a log-SNR gap of at most a half."""
    mixtures = components(1, reach=2.0, least=0.5)
    return st.builds(FlowCase, mixtures, mixtures, near_times(), _number(-3.0, 3.0))


@cache
def line_cases() -> st.SearchStrategy[LineCase]:
    """One Gaussian under any smooth schedule, over a log-SNR gap of at most a half."""
    return st.builds(
        LineCase,
        _number(-3.0, 3.0),
        _number(0.1, 3.0),
        near_times(of=smooth()),
        _number(-3.0, 3.0),
    )


@cache
def regression_cases(features: tuple[str, ...]) -> st.SearchStrategy[RegressionCase]:
    """Models with all planted errors, any target, and any two of the features."""
    pairs = list(itertools.permutations(features, 2))
    return st.builds(RegressionCase, misfit_cases(), _number(-0.6, 1.0), st.sampled_from(pairs))


@cache
def state_cases() -> st.SearchStrategy[StateCase]:
    """Polynomials up to degree 4, where the noise is no difference of nearly equal numbers."""
    return st.builds(
        StateCase,
        components(1, reach=4.0, least=0.3),
        times(most=LOG_SNR_REACH),
        st.lists(_number(-2.0, 2.0), max_size=4).map(lambda lower: (*lower, 1.0)),
    )


@cache
def affine_cases(features: tuple[str, str]) -> st.SearchStrategy[RegressionCase]:
    """Models whose planted error is affine in x_t and the prediction."""
    affine = misfit_cases().map(lambda case: replace(case, amplitude=0.0))
    return st.builds(RegressionCase, affine, _number(-0.6, 1.0), st.just(features))


@cache
def precondition_cases() -> st.SearchStrategy[PreconditionCase]:
    """Any schedule, for sigma_data around that of images."""
    return st.builds(
        PreconditionCase, times(), _number(0.1, 5.0), _number(-5.0, 5.0), _number(-3.0, 3.0)
    )
