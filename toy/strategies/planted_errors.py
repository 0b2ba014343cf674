"""Models with planted error, conversions between targets, and what is regressed."""

import itertools
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

from hypothesis import strategies as st

from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import NAMED, Target
from toy.mixtures.mixture import float64
from toy.mixtures.planted_error import PlantedErrorModel
from toy.strategies.mixtures import DiffusionCase, components
from toy.strategies.numbers import number, within
from toy.strategies.time_pairs import TIME_PAIRS, TimePair, time_pairs

TARGETS = st.sampled_from(list(NAMED.values()))


@dataclass(frozen=True)
class PlantedErrorCase(DiffusionCase):
    """A model with planted error, the same along every axis, and a shift to try on it."""

    target: Target
    constant: float
    slope: float
    amplitude: float
    frequency: float
    shift: float

    def model(self) -> PlantedErrorModel:
        """The model itself."""
        constant = float64([self.constant])
        return PlantedErrorModel(
            self.diffusion, self.target, lambda t: constant,
            self.slope, self.amplitude, self.frequency,
        )  # fmt: skip


@dataclass(frozen=True)
class RegressionCase:
    """A model with planted error, which also scales, and two features to regress it on."""

    planted: PlantedErrorCase
    scale: float
    features: tuple[str, str]

    @cached_property
    def model(self) -> PlantedErrorModel:
        """The model itself."""
        return replace(self.planted.model(), scale=self.scale)


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


@dataclass(frozen=True)
class PreconditionCase:
    """An output of an EDM network, at x = x_t/alpha_t and any sigma_data."""

    times: TimePair
    sigma_data: float
    x: float
    output: float


PLANTED_ERROR_CASES = st.builds(
    PlantedErrorCase, components(1, reach=4.0, least=0.3), TIME_PAIRS, TARGETS,
    *within((-2.0, 2.0), (-1.0, 1.0), (-1.0, 1.0), (0.1, 2.0), (-2.0, 2.0)),
)  # fmt: skip
"""One-dimensional models with all planted errors, any target."""

PLANE_ERROR_CASES = st.builds(
    PlantedErrorCase, components(2, reach=2.0, least=0.4), time_pairs(low=-2.0, high=4.0), TARGETS,
    *within((-2.0, 2.0), (-1.0, 1.0), (-1.0, 1.0), (0.1, 2.0), (-2.0, 2.0)),
)  # fmt: skip
"""The same in the plane, where the waves are no shorter than its grid can follow."""


@cache
def regression_cases(features: tuple[str, ...]) -> st.SearchStrategy[RegressionCase]:
    """Models with all planted errors, any target, and any two of the features."""
    pairs = list(itertools.permutations(features, 2))
    return st.builds(RegressionCase, PLANTED_ERROR_CASES, number(-0.6, 1.0), st.sampled_from(pairs))


@cache
def affine_error_cases(features: tuple[str, str]) -> st.SearchStrategy[RegressionCase]:
    """Models whose planted error is affine in x_t and the prediction."""
    affine = PLANTED_ERROR_CASES.map(lambda case: replace(case, amplitude=0.0))
    return st.builds(RegressionCase, affine, number(-0.6, 1.0), st.just(features))


@cache
@st.composite
def conversion_cases(draw: Any) -> ConversionCase:
    """Any two targets at any time."""
    pair = draw(TIME_PAIRS)
    return ConversionCase(
        pair.schedule, pair.t, draw(TARGETS), draw(TARGETS),
        *(draw(number(-3.0, 3.0)) for _ in range(3)),
    )  # fmt: skip


PRECONDITION_CASES = st.builds(
    PreconditionCase, TIME_PAIRS, number(0.1, 5.0), number(-5.0, 5.0), number(-3.0, 3.0)
)
"""Any schedule, for sigma_data around that of images."""
