"""Schedules given by formulas: VP linear and cosine, sub-VP, VE, EDM, rectified flow."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float64, Real
from torch import Tensor

from theory.diffusion.schedules.base import Schedule


class LogAlpha(Schedule):
    """A schedule whose alpha_t is given by its logarithm."""

    @abstractmethod
    def log_alpha(self, t: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """log alpha_t."""

    @abstractmethod
    def d_log_alpha(self, t: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """d log alpha / dt."""

    def alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """exp(log alpha_t)."""
        return torch.exp(self.log_alpha(t.double()))

    def d_alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """alpha_t d log alpha / dt."""
        return self.alpha(t) * self.d_log_alpha(t.double())


class VariancePreserving(LogAlpha):
    """alpha_t^2 + sigma_t^2 = 1: sigma and its derivative follow from log alpha."""

    def sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """sqrt(1 - alpha_t^2)."""
        return torch.sqrt(-torch.expm1(2 * self.log_alpha(t.double())))

    def d_sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """-(alpha_t^2 / sigma_t) d log alpha / dt."""
        return -(self.alpha(t) ** 2) * self.d_log_alpha(t.double()) / self.sigma(t)


@dataclass(frozen=True)
class LinearBeta(LogAlpha):
    """beta_t = beta_min + t d for d = beta_max - beta_min; log alpha = -beta_min t/2 - d t^2/4."""

    beta_min: float = 0.1
    beta_max: float = 20.0
    t_min: float = 0.0
    t_max: float = 1.0

    def log_alpha(self, t: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """-beta_min t/2 - (beta_max - beta_min) t^2/4."""
        return -(self.beta_min / 2 + (self.beta_max - self.beta_min) / 4 * t) * t

    def d_log_alpha(self, t: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """-beta_t / 2."""
        return -(self.beta_min + (self.beta_max - self.beta_min) * t) / 2

    def _time_of_minus_log_alpha(self, value: Tensor) -> Tensor:
        root = torch.sqrt(self.beta_min**2 + 4 * (self.beta_max - self.beta_min) * value)
        return 4 * value / (self.beta_min + root)


@dataclass(frozen=True)
class VPLinear(LinearBeta, VariancePreserving):
    """Variance-preserving with linear beta_t.

    Song et al., "Score-Based Generative Modeling through SDEs" (2021), appendix C.
    """

    name: ClassVar[str] = "vp-linear"

    def time_of(self, log_snr: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """From -log alpha_t = softplus(-lambda) / 2."""
        return self._time_of_minus_log_alpha(torch.nn.functional.softplus(-log_snr) / 2)


@dataclass(frozen=True)
class SubVP(LinearBeta):
    """sigma_t = 1 - alpha_t^2 with linear beta_t: less noise than variance-preserving.

    exp(lambda_t / 2) = alpha_t / (1 - alpha_t^2) = 1 / (2 sinh(-log alpha_t)).

    Song et al., "Score-Based Generative Modeling through SDEs" (2021), appendix C.
    """

    name: ClassVar[str] = "sub-vp"

    def sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """1 - alpha_t^2."""
        return -torch.expm1(2 * self.log_alpha(t.double()))

    def d_sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """-2 alpha_t^2 d log alpha / dt."""
        return -2 * self.alpha(t) ** 2 * self.d_log_alpha(t.double())

    def time_of(self, log_snr: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """From -log alpha_t = asinh(exp(-lambda / 2) / 2)."""
        return self._time_of_minus_log_alpha(torch.asinh(torch.exp(-log_snr / 2) / 2))


@dataclass(frozen=True)
class VPCosine(VariancePreserving):
    """alpha_t = cos(theta_t) / cos(theta_0), theta_t = (pi/2) (t + offset) / (1 + offset).

    Nichol & Dhariwal, "Improved DDPM" (2021), equation 17. Ends before alpha reaches zero.
    """

    name: ClassVar[str] = "vp-cosine"
    offset: float = 0.008
    t_min: float = 0.0
    t_max: float = 0.9946

    def _angle(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return math.pi / 2 * (t + self.offset) / (1 + self.offset)

    @property
    def _first_angle(self) -> float:
        return math.pi / 2 * self.offset / (1 + self.offset)

    def log_alpha(self, t: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """log cos(theta_t) - log cos(theta_0)."""
        return torch.log(torch.cos(self._angle(t))) - math.log(math.cos(self._first_angle))

    def d_log_alpha(self, t: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """-(pi/2) tan(theta_t) / (1 + offset)."""
        return -math.pi / 2 / (1 + self.offset) * torch.tan(self._angle(t))

    def sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """sqrt(sin(theta_t - theta_0) sin(theta_t + theta_0)) / cos(theta_0), without cancellation."""
        t = t.double()
        theta, first = self._angle(t), self._first_angle
        step = math.pi / 2 * t / (1 + self.offset)
        return torch.sqrt(torch.sin(step) * torch.sin(theta + first)) / math.cos(first)

    def time_of(self, log_snr: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """From sin theta_t - sin theta_0, which keeps the digits of a time near zero."""
        alpha = torch.sqrt(torch.sigmoid(log_snr))
        first = self._first_angle
        rise_sq = torch.sigmoid(-log_snr) * math.cos(first) ** 2
        sin = torch.sqrt(rise_sq + math.sin(first) ** 2)
        theta = torch.atan2(sin, alpha * math.cos(first))
        rise = rise_sq / (sin + math.sin(first))
        step = 2 * torch.asin(rise / (2 * torch.cos((theta + first) / 2)))
        return step * (1 + self.offset) * 2 / math.pi


class VarianceExploding(Schedule):
    """alpha_t = 1: the data keep their scale and noise is added."""

    def alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """One."""
        return torch.ones_like(t, dtype=torch.float64)

    def d_alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """Zero."""
        return torch.zeros_like(t, dtype=torch.float64)


@dataclass(frozen=True)
class VEGeometric(VarianceExploding):
    """sigma_t = sigma_min (sigma_max / sigma_min)^t (Song et al. 2021, appendix C)."""

    name: ClassVar[str] = "ve"
    sigma_min: float = 0.01
    sigma_max: float = 50.0
    t_min: float = 0.0
    t_max: float = 1.0

    @property
    def _rate(self) -> float:
        return math.log(self.sigma_max / self.sigma_min)

    def sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """sigma_min (sigma_max / sigma_min)^t."""
        return self.sigma_min * torch.exp(self._rate * t.double())

    def d_sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """log(sigma_max / sigma_min) sigma_t."""
        return self._rate * self.sigma(t)

    def time_of(self, log_snr: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """From log sigma_t = -lambda / 2."""
        return (-log_snr / 2 - math.log(self.sigma_min)) / self._rate


@dataclass(frozen=True)
class EDM(VarianceExploding):
    """alpha_t = 1, sigma_t = t (Karras et al., "Elucidating the Design Space", 2022)."""

    name: ClassVar[str] = "edm"
    t_min: float = 0.002
    t_max: float = 80.0

    def sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """t."""
        return t.double()

    def d_sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """One."""
        return torch.ones_like(t, dtype=torch.float64)

    def time_of(self, log_snr: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """exp(-lambda / 2)."""
        return torch.exp(-log_snr / 2)


@dataclass(frozen=True)
class RectifiedFlow(Schedule):
    """alpha_t = 1 - t, sigma_t = t (Liu et al. 2023; Lipman et al. 2023)."""

    name: ClassVar[str] = "rectified-flow"
    t_min: float = 0.0
    t_max: float = 1.0

    def alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """1 - t."""
        return 1 - t.double()

    def d_alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """-1."""
        return -torch.ones_like(t, dtype=torch.float64)

    def sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """t."""
        return t.double()

    def d_sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """One."""
        return torch.ones_like(t, dtype=torch.float64)

    def time_of(self, log_snr: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """sigmoid(-lambda / 2)."""
        return torch.sigmoid(-log_snr / 2)
