"""Shifts of a score, the density that they tilt, its tails, and shifts over time."""

import math
from dataclasses import dataclass
from functools import cache

from hypothesis import strategies as st
from jaxtyping import Real
from torch import Tensor

from theory.diffusion.schedules import Schedule
from toy.strategies.mixtures import Components, DiffusionCase, components
from toy.strategies.numbers import number, number_tuple
from toy.strategies.time_pairs import SCHEDULES, TIME_PAIRS

Vector = tuple[float, ...]


@dataclass(frozen=True)
class PlaneScoreCase(DiffusionCase):
    """A score in two dimensions with a constant and a wave as its error, a shift, and a point."""

    constant: Vector
    amplitude: float
    shift: Vector
    offset: Vector


@dataclass(frozen=True)
class TiltCase:
    """A mixture, a shift in units of its widest deviation, and a point near the first component."""

    components: Components
    shift: Vector
    offset: Vector


@dataclass(frozen=True)
class LineTailCase:
    """A density on the line with tails of some kind and parameter, and a shift."""

    kind: str
    parameter: float
    eta: float


@dataclass(frozen=True)
class PlaneTailCase:
    """A density in the plane with tails of some kind, its parameter and turn, and a shift.

    The shift has ``strength`` times the most that leaves Z finite, in the direction ``angle``.
    """

    kind: str
    parameter: float
    turn: float
    strength: float
    angle: float


@dataclass(frozen=True)
class AmortizedCase:
    """A shift over time: coefficients in the basis, and so much of a wave outside it."""

    schedule: Schedule
    coefficients: Vector
    wave: float

    def times(self, n: int = 24) -> Real[Tensor, "n"]:
        """Times spread evenly between the schedule's ends."""
        return self.schedule.grid(n)


PLANE_SCORE_CASES = st.builds(
    PlaneScoreCase, components(2, reach=4.0, least=0.3), TIME_PAIRS, number_tuple(-2.0, 2.0, 2),
    number(-1.0, 1.0), number_tuple(-2.0, 2.0, 2), number_tuple(-3.0, 3.0, 2),
)  # fmt: skip
"""Two-dimensional scores with planted error."""


@cache
def tilt_cases(dimension: int, farthest: float) -> st.SearchStrategy[TiltCase]:
    """Shifts whose entries move the mass by a share ``farthest`` of a deviation at most."""
    return st.builds(
        TiltCase, components(dimension, reach=4.0, least=0.3),
        number_tuple(-farthest, farthest, dimension), number_tuple(-3.0, 3.0, dimension),
    )  # fmt: skip


LINE_TAIL_CASES = st.builds(
    LineTailCase,
    st.sampled_from(["gauss", "laplace", "student"]),
    number(0.5, 5.0),
    number(-10.0, 10.0).filter(lambda eta: eta == 0 or abs(eta) > 1e-3),
).filter(lambda c: c.kind != "laplace" or abs(abs(c.eta) * c.parameter - 1) > 1e-3)
"""Gaussian, exponential and power tails; shifts clear of the exponential's own rate."""

PLANE_TAIL_CASES = st.builds(
    PlaneTailCase, st.sampled_from(["gauss", "round", "square", "student"]), number(0.5, 5.0),
    number(0.0, math.pi), st.just(0.0) | number(0.05, 0.95) | number(1.05, 3.0),
    number(0.0, 2 * math.pi),
)  # fmt: skip
"""Gaussian, exponential (round and square) and power tails; shifts clear of the edge."""

AMORTIZED_CASES = st.builds(
    AmortizedCase,
    SCHEDULES.filter(lambda chosen: len(chosen.grid(24)) > 6),
    st.lists(number(-2.0, 2.0), min_size=1, max_size=5).map(tuple),
    st.just(0.0) | number(0.1, 2.0),
)
"""Polynomials of log-SNR up to degree 4, with a wave or without."""
