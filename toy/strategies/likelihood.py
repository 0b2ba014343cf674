"""Affine models of one-dimensional mixtures, for the likelihood between two times and from T to 0."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from hypothesis import strategies as st
from jaxtyping import Float64
from torch import Tensor

from theory.diffusion.targets import Target
from toy.mixtures.affine_model import AffineModel
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import float64
from toy.strategies.mixtures import Components, DiffusionCase, components
from toy.strategies.numbers import number, number_tuple, within
from toy.strategies.planted_errors import TARGETS
from toy.strategies.time_pairs import DISTANT_TIME_PAIRS, TimePair, near_time_pairs


@dataclass(frozen=True)
class LikelihoodCase(DiffusionCase):
    """Data, and an affine model of it (``toy.mixtures.affine_model``).

    Attributes:
        components, times: the data, and the times between which the model runs.
        slope, centre, bias: kappa, m, and b in units of sigma/alpha at t.
        offset, ratio: by how much the prior misses: of its mean, and of its deviation, in units of
            sigma/alpha at t.
    """

    slope: float
    centre: float
    bias: float
    offset: float
    ratio: float

    @cached_property
    def model(self) -> AffineModel:
        """The model itself."""
        schedule = self.times.schedule
        unit = math.exp(-schedule.log_snr(float64(self.times.t)).item() / 2)
        mean = self.centre + self.offset * unit
        return AffineModel(
            schedule, self.slope, self.centre, self.bias * unit, 0.0, mean, self.ratio
        )

    def squared_noise_error(self, times: Float64[Tensor, "n"]) -> Float64[Tensor, "n"]:
        """E|e_theta - E[e|x_t]|^2 for data of the first component alone."""
        schedule, model = self.times.schedule, self.model
        mean, variance = self.components.means[0][0], self.components.deviations[0][0] ** 2
        alpha, sigma = schedule.alpha(times), schedule.sigma(times)
        c = alpha**2 * variance + sigma**2
        average = alpha * (model.slope * (mean - model.centre) + model.bias) / sigma
        return average**2 + c * (model.slope / sigma - sigma / c) ** 2


@dataclass(frozen=True)
class WholeRangeCase(DiffusionCase):
    """Data, and an affine model of N(centre, deviation^2), over most of the way from T to 0.

    Attributes:
        components, times: the data, and the times between which the model runs.
        deviation, slope, centre, bias: sqrt(v), kappa, m, b of ``toy.mixtures.affine_model``.
        offset, ratio: the prior has mean ``offset`` and deviation 1, in units of ``ratio`` sqrt(C).
    """

    deviation: float
    slope: float
    centre: float
    bias: float
    offset: float
    ratio: float

    @cached_property
    def model(self) -> AffineModel:
        """The model itself."""
        schedule, variance = self.times.schedule, self.deviation**2
        spread = variance + math.exp(-schedule.log_snr(float64(self.times.t)).item())
        mean = self.offset * self.ratio * math.sqrt(spread)
        return AffineModel(schedule, self.slope, self.centre, self.bias, variance, mean, self.ratio)

    def calibrated(self) -> "WholeRangeCase":
        """The same prior and the same model, calibrated at every time."""
        return replace(self, centre=self.diffusion.data.mean().item(), bias=0.0)


@dataclass(frozen=True)
class SpaceCase:
    """Gaussian data in d dimensions, another Gaussian, and an affine model of each coordinate.

    Attributes:
        times: between which everything runs.
        mean, root: of the data, whose covariance is root root^T + ``FLOOR`` I; (d,) and (d, d).
        other_mean, other_root: of the other Gaussian.
        axes: for each coordinate (deviation, slope, centre, bias, offset, ratio) as in ``WholeRangeCase``.
    """

    times: TimePair
    mean: tuple[float, ...]
    root: tuple[tuple[float, ...], ...]
    other_mean: tuple[float, ...]
    other_root: tuple[tuple[float, ...], ...]
    axes: tuple[tuple[float, ...], ...]

    @property
    def data(self) -> tuple[Float64[Tensor, "d"], Float64[Tensor, "d d"]]:
        """Mean and covariance of the data."""
        return float64(self.mean), _covariance(self.root)

    @property
    def other(self) -> tuple[Float64[Tensor, "d"], Float64[Tensor, "d d"]]:
        """Mean and covariance of the other Gaussian."""
        return float64(self.other_mean), _covariance(self.other_root)

    @cached_property
    def models(self) -> list[AffineModel]:
        """The model of each coordinate, whose noise is independent of that of the others."""
        nothing = Components((), (), (), ())
        return [WholeRangeCase(nothing, self.times, *axis).model for axis in self.axes]


FLOOR = 0.05
"""The least variance of a Gaussian in any direction."""


def _covariance(root: tuple[tuple[float, ...], ...]) -> Tensor:
    square = float64(root)
    return square @ square.T + FLOOR * torch.eye(len(square), dtype=torch.float64)


@dataclass(frozen=True)
class CalibrationGainCase:
    """A model over most of the way from T to 0, and what it predicts."""

    whole: WholeRangeCase
    target: Target


@dataclass(frozen=True)
class TwoMixturesCase:
    """Two mixtures under one schedule, and a point in deviations of the model's first component."""

    components: Components
    others: Components
    times: TimePair
    offset: float

    @cached_property
    def data(self) -> Diffusion:
        """The diffusion of the data."""
        return Diffusion(self.components.mixture(), self.times.schedule)

    @cached_property
    def model(self) -> Diffusion:
        """The diffusion whose score the model has."""
        return Diffusion(self.others.mixture(), self.times.schedule)


@dataclass(frozen=True)
class BitsCase:
    """Two Gaussians on the line as (mean, deviation), and how many copies of them make an image."""

    data: tuple[float, float]
    model: tuple[float, float]
    dimensions: int


LIKELIHOOD_CASES = st.builds(
    LikelihoodCase, components(1, reach=2.0, least=0.5), near_time_pairs(),
    *within((0.6, 1.5), (-2.0, 2.0), (-1.0, 1.0), (-1.0, 1.0), (0.5, 2.0)),
)  # fmt: skip
"""Over a log-SNR gap of at most a half."""

WHOLE_RANGE_CASES = st.builds(
    WholeRangeCase, components(1, reach=2.0, least=0.5, most=2.0), DISTANT_TIME_PAIRS,
    *within((0.5, 2.0), (0.8, 1.25), (-1.0, 1.0), (-1.0, 1.0), (-1.0, 1.0), (0.8, 1.25)),
)  # fmt: skip
"""Over 10 to 14 units of log-SNR."""


@st.composite
def _space_cases(draw: Any) -> SpaceCase:
    d = draw(st.integers(2, 4))
    axis = st.tuples(
        *within((0.5, 2.0), (0.8, 1.25), (-1.0, 1.0), (-1.0, 1.0), (-1.0, 1.0), (0.8, 1.25))
    )
    return SpaceCase(
        draw(DISTANT_TIME_PAIRS), draw(number_tuple(-2.0, 2.0, d)), draw(number_tuple(-1.0, 1.0, d, d)),
        draw(number_tuple(-2.0, 2.0, d)), draw(number_tuple(-1.0, 1.0, d, d)),
        draw(st.tuples(*[axis] * d)),
    )  # fmt: skip


SPACE_CASES = _space_cases()
"""Two to four dimensions, full covariances, over 10 to 14 units of log-SNR."""

CALIBRATION_GAIN_CASES = st.builds(CalibrationGainCase, WHOLE_RANGE_CASES, TARGETS)
"""Over 10 to 14 units of log-SNR, for any target."""

_mixtures = components(1, reach=2.0, least=0.5)
TWO_MIXTURES_CASES = st.builds(
    TwoMixturesCase, _mixtures, _mixtures, near_time_pairs(), number(-3.0, 3.0)
)
"""Over a log-SNR gap of at most a half."""

_gaussian = st.tuples(number(-1.0, 1.0), number(0.6, 1.8))
BITS_CASES = st.builds(BitsCase, _gaussian, _gaussian, st.integers(1, 3072))
"""Up to as many dimensions as an image of 32 by 32 pixels has."""
