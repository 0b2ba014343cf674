"""One Gaussian on the line: its tails, and chains of steps on it."""

from dataclasses import dataclass
from functools import cached_property

import torch
from hypothesis import strategies as st
from torch import Tensor

from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.strategies.numbers import number
from toy.strategies.time_pairs import (
    SMOOTH_SCHEDULES,
    TIME_PAIRS,
    TimePair,
    moderate_time_pairs,
    near_time_pairs,
)


@dataclass(frozen=True)
class GaussianTailCase:
    """N(0, variance) on the line, and how many standard deviations a tail lies out."""

    times: TimePair
    variance: float
    deviations: float

    @cached_property
    def diffusion(self) -> Diffusion:
        """The diffusion of the Gaussian."""
        one = torch.ones(1, dtype=torch.float64)
        data = GaussianMixture.diagonal(one, 0 * one[:, None], self.variance * one)
        return Diffusion(data, self.times.schedule)


@dataclass(frozen=True)
class GaussianChainCase:
    """N(mean, deviation^2) on the line and x_t, ``offset`` deviations of q_t from its mean."""

    mean: float
    deviation: float
    times: TimePair
    offset: float

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t and c_t = alpha_t^2 v + sigma_t^2."""
        alpha_t = self.times.schedule.alpha(t)
        return alpha_t, alpha_t**2 * self.deviation**2 + self.times.schedule.sigma(t) ** 2

    def ends(self) -> tuple[Tensor, Tensor]:
        """alpha and c at s and at t, each (2,)."""
        return self.scales(float64([self.times.s, self.times.t]))

    def score(self, x: Tensor, t: Tensor) -> Tensor:
        """grad log q_t(x)."""
        alpha_t, c_t = self.scales(t)
        return -(x - alpha_t * self.mean) / c_t

    def propagator(self, t: Tensor) -> Tensor:
        """Phi(s, t) = (alpha_t / alpha_s) c_s / c_t, from times t to the case's own s."""
        (alpha_s, c_s), (alpha_t, c_t) = self.scales(float64(self.times.s)), self.scales(t)
        return alpha_t / alpha_s * c_s / c_t

    def x_t(self) -> float:
        """The point from which the chain starts."""
        alpha_t, c_t = self.scales(float64(self.times.t))
        return (alpha_t * self.mean + self.offset * c_t.sqrt()).item()


_variance = number(-4.0, 4.0).map(lambda x: 10**x)
GAUSSIAN_TAIL_CASES = st.builds(GaussianTailCase, TIME_PAIRS, _variance, number(0.5, 6.0))
"""Variances from 1e-4 to 1e4, tails from half a standard deviation to six."""

GAUSSIAN_CHAIN_CASES = st.builds(
    GaussianChainCase, number(-3.0, 3.0), number(0.1, 3.0), near_time_pairs(of=SMOOTH_SCHEDULES),
    number(-3.0, 3.0),
)  # fmt: skip
"""Any smooth schedule, over a log-SNR gap of at most a half."""

MODERATE_CHAIN_CASES = st.builds(
    GaussianChainCase, number(-2.0, 2.0), number(0.3, 1.2),
    moderate_time_pairs(-3.0, 1.0, 0.5, 1.0), number(-3.0, 3.0),
)  # fmt: skip
"""Chains whose errors are far above rounding, however many their steps."""
