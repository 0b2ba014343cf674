"""Mixtures whose components share a covariance v I, and where their Hessians are largest."""

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from theory.diffusion.schedules import VPLinear
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.strategies.mixtures import point_near
from toy.strategies.numbers import number, number_tuple
from toy.strategies.time_pairs import TIME_PAIRS, TimePair

LOG_ODDS = (-60.0, -8.0, -4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 60.0)
"""Of one component against another, along the line through their means."""

COINCIDENT = 1e-6
"""Means this close, in deviations of q_t, are one component to the Hessian's twelve digits."""


@dataclass(frozen=True)
class CommonCovarianceCase:
    """Components of one deviation, a time, and x_t, ``offset`` deviations from the first mean."""

    weights: tuple[float, ...]
    means: tuple[tuple[float, ...], ...]
    deviation: float
    times: TimePair
    offset: tuple[float, ...]

    @cached_property
    def diffusion(self) -> Diffusion:
        """The diffusion of the data."""
        means = float64(self.means)
        variances = torch.full((len(means),), self.deviation**2, dtype=torch.float64)
        weights = float64(self.weights)
        return Diffusion(GaussianMixture.diagonal(weights, means, variances), self.times.schedule)

    @cached_property
    def law(self) -> GaussianMixture:
        """q_t."""
        return self.diffusion.marginal(self.times.t)

    @cached_property
    def diameter(self) -> float:
        """The largest distance of two means."""
        means = self.diffusion.data.means
        return (means[:, None] - means).norm(dim=-1).max().item()

    def points(self) -> Tensor:
        """Every mean of q_t, x_t, and points of all log-odds between any two means, (n, d)."""
        law = self.law
        x_t = point_near(law, 0, self.offset)[None]
        lines = [between(law, i, j) for i, j in combinations(range(len(self.weights)), 2)]
        return torch.cat([law.means, x_t, *lines])


def between(law: GaussianMixture, i: int, j: int) -> Tensor:
    """Points of the line through two means where P(i|x)/P(j|x) is exp(``LOG_ODDS``), (n, d).

    log P(i|x)/P(j|x) = log w_i/w_j + (m_i - m_j).(x - (m_i + m_j)/2)/c is affine in x. There are no
    such points where the means coincide.
    """
    gap, c = law.means[i] - law.means[j], law.variances[0, 0]
    if gap.norm() <= COINCIDENT * c.sqrt():
        return law.means[:0]
    odds = float64(LOG_ODDS) - law.log_weights[i] + law.log_weights[j]
    return (law.means[i] + law.means[j]) / 2 + odds[:, None] * c * gap / (gap @ gap)


@st.composite
def common_covariance_cases(draw: Any) -> CommonCovarianceCase:
    """One to four components in one to three dimensions, two as often as all other numbers."""
    dimension = draw(st.integers(1, 3))
    count = draw(st.just(2) | st.integers(1, 4))
    return CommonCovarianceCase(
        draw(number_tuple(0.01, 1.0, count)), draw(number_tuple(-8.0, 8.0, count, dimension)),
        draw(number(0.05, 3.0)), draw(TIME_PAIRS), draw(number_tuple(-5.0, 5.0, dimension)),
    )  # fmt: skip


EQUAL_PAIR = CommonCovarianceCase(
    (1.0, 1.0), ((-3.0,), (3.0,)), 0.5, TimePair(VPLinear(), 0.1, 0.3), (1.0,)
)
"""Two equal components, half-way between which the bound is attained."""
