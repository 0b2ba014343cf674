"""Mixtures and their diffusions seen from a point.

Cases are frozen dataclasses of plain numbers, so that a shrunk counterexample can be read.
"""

import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from hypothesis import strategies as st
from jaxtyping import Float64
from torch import Tensor

from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.strategies.numbers import number, number_tuple
from toy.strategies.time_pairs import LOG_SNR_REACH, TIME_PAIRS, TimePair, time_pairs


def rotations(angles: tuple[float, ...], dimension: int) -> Float64[Tensor, "k d d"]:
    """By each angle, in the plane of the first two axes."""
    turns = torch.eye(dimension, dtype=torch.float64).repeat(len(angles), 1, 1)
    turns[:, 0, 0] = turns[:, 1, 1] = torch.cos(float64(angles))
    turns[:, 1, 0] = torch.sin(float64(angles))
    turns[:, 0, 1] = -turns[:, 1, 0]
    return turns


@dataclass(frozen=True)
class Components:
    """A mixture in d = 1, 2 or 3: axes of standard deviations, turned by an angle in the first plane."""

    weights: tuple[float, ...]
    means: tuple[tuple[float, ...], ...]
    deviations: tuple[tuple[float, ...], ...]
    angles: tuple[float, ...]

    def mixture(self) -> GaussianMixture:
        """The mixture itself: full covariances from two dimensions up."""
        weights, means, deviations = map(float64, (self.weights, self.means, self.deviations))
        if means.shape[1] == 1:
            return GaussianMixture.diagonal(weights, means, deviations**2)
        turns = rotations(self.angles, means.shape[1])
        covariances = turns @ torch.diag_embed(deviations**2) @ turns.mT
        return GaussianMixture.full(weights, means, covariances)


@dataclass(frozen=True)
class DiffusionCase:
    """A diffusion of components, and two of its times."""

    components: Components
    times: TimePair

    @cached_property
    def diffusion(self) -> Diffusion:
        """The diffusion itself."""
        return Diffusion(self.components.mixture(), self.times.schedule)


def point_near(law: GaussianMixture, near: int, offset: tuple[float, ...]) -> Float64[Tensor, "d"]:
    """The point that lies so many deviations from the mean of a component."""
    return law.means[near] + float64(offset) * law.variances[near].sqrt()


@dataclass(frozen=True)
class ReverseCase(DiffusionCase):
    """A diffusion seen from x_t, which lies ``offset`` deviations from component ``near``."""

    near: int
    offset: tuple[float, ...]

    def x_t(self) -> Float64[Tensor, "d"]:
        """The point."""
        law = self.diffusion.marginal(self.times.t)
        deviation = torch.diagonal(law.covariances()[self.near]).sqrt()
        return law.means[self.near] + float64(self.offset) * deviation


@dataclass(frozen=True)
class AtomicCase:
    """A diffusion of point masses seen from x_t, which lies ``offset`` sigma_t from one of them."""

    weights: tuple[float, ...]
    points: tuple[tuple[float, ...], ...]
    times: TimePair
    near: int
    offset: tuple[float, ...]

    @cached_property
    def diffusion(self) -> Diffusion:
        """The diffusion of the point masses."""
        data = GaussianMixture.atoms(float64(self.weights), float64(self.points))
        return Diffusion(data, self.times.schedule)

    def x_t(self) -> Float64[Tensor, "d"]:
        """The point."""
        return point_near(self.diffusion.marginal(self.times.t), self.near, self.offset)


@dataclass(frozen=True)
class ShiftedCase:
    """A reverse case, and the shift h of the data whose likelihood ratio is followed."""

    reverse: ReverseCase
    h: tuple[float, ...]


@dataclass(frozen=True)
class PolynomialCase(DiffusionCase):
    """A diffusion at a time, and coefficients of a polynomial of x_t, from the lowest."""

    coefficients: tuple[float, ...]

    def polynomial(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Its value and its derivative."""
        value, slope = torch.zeros_like(x), torch.zeros_like(x)
        for coefficient in reversed(self.coefficients):
            slope = slope * x + value
            value = value * x + coefficient
        return value, slope


@cache
@st.composite
def components(
    draw: Any, dimension: int, reach: float = 10.0, least: float = 0.05, most: float = 3.0
) -> Components:
    """Up to four components on the line, or three in more dimensions.

    Args:
        draw: Hypothesis's own.
        dimension: 1, 2 or 3.
        reach: largest entry of a mean.
        least, most: bounds of the deviations.
    """
    count = draw(st.integers(1, 4 if dimension == 1 else 3))
    return Components(
        draw(number_tuple(1e-3, 1.0, count)),
        draw(number_tuple(-reach, reach, count, dimension)),
        draw(number_tuple(least, most, count, dimension)),
        draw(number_tuple(0.0, math.pi, count)) if dimension > 1 else (),
    )


@cache
@st.composite
def reverse_cases(
    draw: Any,
    dimension: int,
    reach: float,
    least: float,
    most: float = 3.0,
    pairs: st.SearchStrategy[TimePair] = TIME_PAIRS,
) -> ReverseCase:
    """Points within five deviations of some component.

    Args:
        draw: Hypothesis's own.
        dimension, reach, least, most: of the ``components``.
        pairs: the times.
    """
    mixture = draw(components(dimension, reach, least, most))
    return ReverseCase(
        mixture, draw(pairs), draw(st.integers(0, len(mixture.weights) - 1)),
        draw(number_tuple(-5.0, 5.0, dimension)),
    )  # fmt: skip


LINE = reverse_cases(1, reach=10.0, least=0.05)
PLANE = reverse_cases(2, reach=4.0, least=0.3)
SPACE = reverse_cases(3, reach=4.0, least=0.1)


@cache
@st.composite
def atomic_cases(
    draw: Any, dimension: int, reach: float, pairs: st.SearchStrategy[TimePair] = TIME_PAIRS
) -> AtomicCase:
    """Up to four points within ``reach``, with weights down to 1e-12."""
    count = draw(st.integers(1, 4))
    return AtomicCase(
        draw(st.tuples(*[number(-12.0, 0.0).map(lambda x: 10**x)] * count)),
        draw(number_tuple(-reach, reach, count, dimension)), draw(pairs),
        draw(st.integers(0, count - 1)), draw(number_tuple(-5.0, 5.0, dimension)),
    )  # fmt: skip


@cache
def shifted_cases(
    dimension: int, reach: float, least: float, most: float = 3.0, farthest: float = 3.0
) -> st.SearchStrategy[ShiftedCase]:
    """Reverse cases with shifts.

    Args:
        dimension, reach, least, most: of the ``components``.
        farthest: largest entry of a shift.
    """
    return st.builds(
        ShiftedCase,
        reverse_cases(dimension, reach, least, most),
        number_tuple(-farthest, farthest, dimension),
    )


POLYNOMIAL_CASES = st.builds(
    PolynomialCase, components(1, reach=4.0, least=0.3), time_pairs(high=LOG_SNR_REACH),
    st.lists(number(-2.0, 2.0), max_size=4).map(lambda lower: (*lower, 1.0)),
)  # fmt: skip
"""Polynomials up to degree 4, where the noise is no difference of nearly equal numbers."""
