"""Mixtures that are hard to compute."""

import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from hypothesis import strategies as st
from jaxtyping import Float64
from torch import Tensor

from theory.diffusion.targets import Target
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.mixtures.planted_error import PlantedErrorModel
from toy.strategies.mixtures import point_near, rotations
from toy.strategies.numbers import number, number_tuple, within
from toy.strategies.planted_errors import TARGETS
from toy.strategies.time_pairs import TIME_PAIRS, TimePair


@dataclass(frozen=True)
class ExtremeCase:
    """Components by powers of ten, means in their own deviations, and a point near one of them."""

    log10_weights: tuple[float, ...]
    log10_deviations: tuple[tuple[float, ...], ...]
    places: tuple[tuple[float, ...], ...]
    angles: tuple[float, ...]
    times: TimePair
    near: int
    offset: tuple[float, ...]

    def mixture(self) -> GaussianMixture:
        """The mixture, built from its eigenvalues: a covariance matrix would lose the small ones.

        The origin is the mean of the component near the point. Far from the origin, a kernel can be
        narrower than the last digit of its mean.
        """
        deviations = 10 ** float64(self.log10_deviations)
        means = deviations * float64(self.places)
        means = means - means[self.near]
        weights = 10 ** float64(self.log10_weights)
        axis_aligned = GaussianMixture.diagonal(weights, means, deviations**2)
        if len(self.places[0]) == 1:
            return axis_aligned
        turns = rotations(self.angles, means.shape[1])
        return GaussianMixture(axis_aligned.log_weights, means, deviations**2, turns)

    @cached_property
    def diffusion(self) -> Diffusion:
        """The mixture under the case's schedule."""
        return Diffusion(self.mixture(), self.times.schedule)

    def x_t(self) -> Float64[Tensor, "d"]:
        """The point, ``offset`` deviations from component ``near``."""
        return point_near(self.diffusion.marginal(self.times.t), self.near, self.offset)


@dataclass(frozen=True)
class ExtremeModelCase:
    """A one-dimensional model with planted errors in units of the terms of its prediction.

    Its wave turns by ``waves`` radians over the whole law.
    """

    extreme: ExtremeCase
    target: Target
    constant: float
    slope: float
    amplitude: float
    waves: float
    shift_in_units: float

    @property
    def times(self) -> TimePair:
        """The times of the extreme case."""
        return self.extreme.times

    @cached_property
    def unit(self) -> float:
        """The size of the terms of a prediction."""
        return self.extreme.diffusion.target_size(self.target, self.times.t)

    @property
    def shift(self) -> float:
        """A shift to try on the model."""
        return self.shift_in_units * self.unit

    def model(self) -> PlantedErrorModel:
        """The model itself."""
        law = self.extreme.diffusion.marginal(self.times.t)
        reach = ((law.means - law.mean()).abs() + law.variances.sqrt()).max().item()
        constant = float64([self.constant * self.unit])
        return PlantedErrorModel(
            self.extreme.diffusion, self.target, lambda t: constant,
            self.slope * self.unit / reach, self.amplitude * self.unit, self.waves / reach,
        )  # fmt: skip


@dataclass(frozen=True)
class ShiftedExtreme:
    """A one-dimensional case, and a shift of the data by so many deviations of q_s near x_t."""

    reverse: ExtremeCase
    deviations: float

    @property
    def h(self) -> tuple[float]:
        """The shift itself."""
        s, near = self.reverse.times.s, self.reverse.near
        law = self.reverse.diffusion.marginal(s)
        alpha_s, _ = self.reverse.diffusion.scales(s)
        return (self.deviations * law.variances[near, 0].sqrt().item() / alpha_s,)


@cache
def _places(count: int, dimension: int) -> st.SearchStrategy[tuple[tuple[float, ...], ...]]:
    place = st.sampled_from([0.0, 1.0, -1e3, 1e3]) | number(-1e3, 1e3)
    return st.tuples(*[st.tuples(*[place] * dimension)] * count)


@cache
@st.composite
def extreme_cases(draw: Any, dimension: int) -> ExtremeCase:
    """Up to three components: weights 1e-12 to 1, deviations 1e-5 to 1e3, means to 1e3 of those."""
    count = draw(st.integers(1, 3))
    return ExtremeCase(
        draw(number_tuple(-12.0, 0.0, count)), draw(number_tuple(-5.0, 3.0, count, dimension)),
        draw(_places(count, dimension)),
        draw(number_tuple(0.0, math.pi, count)) if dimension > 1 else (), draw(TIME_PAIRS),
        draw(st.integers(0, count - 1)), draw(number_tuple(-5.0, 5.0, dimension)),
    )  # fmt: skip


EXTREME_MODELS = st.builds(
    ExtremeModelCase, extreme_cases(1), TARGETS,
    *within((-2.0, 2.0), (-1.0, 1.0), (-1.0, 1.0), (0.1, 4.0), (-2.0, 2.0)),
)  # fmt: skip
"""Models of one-dimensional extreme mixtures, any target."""

SHIFTED_EXTREMES = st.builds(ShiftedExtreme, extreme_cases(1), number(-2.0, 2.0))
"""Shifts of two deviations at most."""
