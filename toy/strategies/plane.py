"""Hypothesis strategies for shifts of a score in the plane: the density that is tilted, its tails."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import strategies as st

from toy.strategies.mixtures import Components, components


@dataclass(frozen=True)
class PlaneTiltCase:
    """A mixture in the plane, a shift in units of its widest deviation, and a point."""

    components: Components
    shift: tuple[float, float]
    offset: tuple[float, float]


@dataclass(frozen=True)
class PlaneTailCase:
    """A density in the plane with tails of some kind, its parameter and turn, and a shift.

    The shift has ``strength`` times what the density bears (1 is the edge) in the direction ``angle``.
    """

    kind: str
    parameter: float
    turn: float
    strength: float
    angle: float


@cache
def _pair(reach: float) -> st.SearchStrategy[Any]:
    return st.tuples(st.floats(-reach, reach), st.floats(-reach, reach))


@cache
def plane_tilt_cases() -> st.SearchStrategy[PlaneTiltCase]:
    """Mixtures with full covariances and shifts that move their mass by a deviation at most."""
    return st.builds(PlaneTiltCase, components(2, reach=4.0, least=0.3), _pair(0.7), _pair(3.0))


@cache
def plane_tail_cases() -> st.SearchStrategy[PlaneTailCase]:
    """Gaussian, exponential (round and square) and power tails; shifts clear of the edge."""
    return st.builds(
        PlaneTailCase,
        st.sampled_from(["gauss", "round", "square", "student"]),
        st.floats(0.5, 5.0),
        st.floats(0.0, math.pi),
        st.just(0.0) | st.floats(0.05, 0.95) | st.floats(1.05, 3.0),
        st.floats(0.0, 2 * math.pi),
    )
