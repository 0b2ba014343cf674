"""Hypothesis strategies for the likelihood from T to 0: affine models over a long way, and images' bits."""

import math
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

from hypothesis import strategies as st

from theory.diffusion.targets import Target
from toy.mixtures.affine_model import AffineModel
from toy.mixtures.diffusion import Diffusion, as_time
from toy.strategies.mixtures import Components, TimePair, components, log_snr_range, schedule
from toy.strategies.models import TARGETS


@dataclass(frozen=True)
class WholeCase:
    """Data, and an affine model of N(centre, deviation^2), over most of the way from T to 0.

    The prior misses zero by ``offset`` of its deviations, which are ``ratio`` sqrt(C)
    (``toy.mixtures.affine_model``).
    """

    components: Components
    times: TimePair
    deviation: float
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
        """The model."""
        variance = self.deviation**2
        log_snr = self.times.schedule.log_snr(as_time(self.times.t)).item()
        mean = self.offset * self.ratio * math.sqrt(variance + math.exp(-log_snr))
        return AffineModel(
            self.times.schedule, self.slope, self.centre, self.bias, variance, mean, self.ratio
        )

    def calibrated(self) -> "WholeCase":
        """The same prior and the same model, calibrated at every time."""
        return replace(self, centre=self.diffusion.data.mean().item(), bias=0.0)


@dataclass(frozen=True)
class NatsCase:
    """A model over most of the way from T to 0, and what it predicts."""

    whole: WholeCase
    target: Target


@dataclass(frozen=True)
class BitsCase:
    """Two Gaussians on the line as (mean, deviation), and how many copies of them make an image."""

    data: tuple[float, float]
    model: tuple[float, float]
    dimensions: int


@cache
def _number(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, allow_infinity=False)


@cache
@st.composite
def long_times(draw: Any, least: float = 10.0, most: float = 14.0) -> TimePair:
    """A schedule and two of its times, of log-SNRs that differ by ``least`` to ``most``."""
    chosen = draw(
        schedule().filter(lambda s: log_snr_range(s)[1] - log_snr_range(s)[0] > least + 1)
    )
    low, high = log_snr_range(chosen)
    later = draw(_number(low, high - least - 0.5))
    earlier = draw(_number(later + least, min(later + most, high - 0.25)))
    t, s = (chosen.time_of(as_time(x)).item() for x in (later, earlier))
    return TimePair(chosen, s, t)


@cache
def whole_cases() -> st.SearchStrategy[WholeCase]:
    """Affine models of one-dimensional mixtures, over 10 to 14 units of log-SNR."""
    return st.builds(
        WholeCase,
        components(1, reach=2.0, least=0.5, most=2.0),
        long_times(),
        _number(0.5, 2.0),
        _number(0.8, 1.25),
        _number(-1.0, 1.0),
        _number(-1.0, 1.0),
        _number(-1.0, 1.0),
        _number(0.8, 1.25),
    )


@cache
def nats_cases() -> st.SearchStrategy[NatsCase]:
    """The same, for any target."""
    return st.builds(NatsCase, whole_cases(), TARGETS)


@cache
def bits_cases() -> st.SearchStrategy[BitsCase]:
    """Up to as many dimensions as an image of 32 by 32 pixels has."""
    gaussian = st.tuples(_number(-1.0, 1.0), _number(0.6, 1.8))
    return st.builds(BitsCase, gaussian, gaussian, st.integers(1, 3072))
