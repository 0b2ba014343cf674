"""Hypothesis strategies of mixtures that are hard to compute."""

import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from theory.diffusion import targets
from theory.diffusion.targets import Target
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture
from toy.mixtures.planted_error import Misfit
from toy.strategies.mixtures import TimePair, numbers, times


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

        The origin is the mean of the component that the point is near: nothing is at stake in where
        it is, and far from it a kernel can be narrower than the last digit of its mean.
        """
        deviations = 10 ** torch.tensor(self.log10_deviations, dtype=torch.float64)
        means = deviations * torch.tensor(self.places, dtype=torch.float64)
        means = means - means[self.near]
        weights = 10 ** torch.tensor(self.log10_weights, dtype=torch.float64)
        axis_aligned = GaussianMixture.diagonal(weights, means, deviations**2)
        if len(self.places[0]) == 1:
            return axis_aligned
        angles = torch.tensor(self.angles, dtype=torch.float64)
        cos, sin = torch.cos(angles), torch.sin(angles)
        turns = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
        return GaussianMixture(axis_aligned.log_weights, means, deviations**2, turns)

    @cached_property
    def diffusion(self) -> Diffusion:
        """The mixture under the case's schedule."""
        return Diffusion(self.mixture(), self.times.schedule)

    def x_t(self) -> Tensor:
        """(d,)."""
        law = self.diffusion.marginal(self.times.t)
        offset = torch.tensor(self.offset, dtype=torch.float64)
        return law.means[self.near] + offset * law.variances[self.near].sqrt()


@dataclass(frozen=True)
class ExtremeModelCase:
    """A one-dimensional model with planted errors in units of what its predictions add up to.

    Its wave is ``waves`` radians over the whole law.
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
        """Of the extreme case."""
        return self.extreme.times

    @cached_property
    def unit(self) -> float:
        """What predictions add up to."""
        return self.extreme.diffusion.target_size(self.target, self.times.t)

    @property
    def shift(self) -> float:
        """A shift to try on it."""
        return self.shift_in_units * self.unit

    def model(self) -> Misfit:
        """The model itself."""
        law = self.extreme.diffusion.marginal(self.times.t)
        reach = ((law.means - law.mean()).abs() + law.variances.sqrt()).max().item()
        constant = torch.tensor([self.constant * self.unit], dtype=torch.float64)
        return Misfit(
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
        """The shift."""
        s, near = self.reverse.times.s, self.reverse.near
        law = self.reverse.diffusion.marginal(s)
        alpha_s, _ = self.reverse.diffusion.scales(s)
        return (self.deviations * law.variances[near, 0].sqrt().item() / alpha_s,)


@cache
def _places(count: int, dimension: int) -> st.SearchStrategy[tuple[tuple[float, ...], ...]]:
    place = st.sampled_from([0.0, 1.0, -1e3, 1e3]) | st.floats(-1e3, 1e3)
    return st.tuples(*[st.tuples(*[place] * dimension)] * count)


@cache
@st.composite
def extreme_cases(draw: Any, dimension: int) -> ExtremeCase:
    """Up to three components: weights 1e-12 to 1, deviations 1e-5 to 1e3, places 0 to 1e3."""
    count = draw(st.integers(1, 3))
    return ExtremeCase(
        draw(numbers(-12.0, 0.0, count)),
        draw(numbers(-5.0, 3.0, count, dimension)),
        draw(_places(count, dimension)),
        draw(numbers(0.0, math.pi, count)) if dimension > 1 else (),
        draw(times()),
        draw(st.integers(0, count - 1)),
        draw(numbers(-5.0, 5.0, dimension)),
    )


@cache
def extreme_models() -> st.SearchStrategy[ExtremeModelCase]:
    """Models of one-dimensional extreme mixtures, any target."""
    return st.builds(
        ExtremeModelCase,
        extreme_cases(1),
        st.sampled_from(list(targets.NAMED.values())),
        st.floats(-2.0, 2.0),
        st.floats(-1.0, 1.0),
        st.floats(-1.0, 1.0),
        st.floats(0.1, 4.0),
        st.floats(-2.0, 2.0),
    )


@cache
def shifted_extremes() -> st.SearchStrategy[ShiftedExtreme]:
    """Shifts of two deviations at most."""
    return st.builds(ShiftedExtreme, extreme_cases(1), st.floats(-2.0, 2.0))
