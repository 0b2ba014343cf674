"""Noise schedules of Gaussian diffusion.

Notation: x_t = alpha_t x_0 + sigma_t e with e ~ N(0, I), alpha_t > 0, sigma_t > 0, and
SNR = alpha_t^2 / sigma_t^2 strictly decreasing in t. log_snr is lambda_t = log SNR.

The forward SDE is dx = f x dt + g dw with f = d log alpha / dt and
g^2 = d(sigma^2)/dt - 2 f sigma^2 = -sigma^2 d lambda/dt. For s < t the forward transition is
x_t | x_s ~ N(A x_s, V I), A = alpha_t / alpha_s, V = sigma_t^2 - A^2 sigma_s^2.

Everything is computed in float64. Times are tensors of any shape.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import ClassVar

import torch
from jaxtyping import Float64, Real
from torch import Tensor

from theory.errors import InputError

Times = Tensor | Iterable[int | float]
"""Times as a caller gives them."""

GRID_LOG_SNR = 10.0
"""Where a schedule's log-SNR is infinite at an end, its grid stops at this absolute value."""


def _exactly(values: list[int | float]) -> Tensor:
    """Numbers as they are: whole ones as int64, others as float64."""
    whole = all(isinstance(value, int) for value in values)
    return torch.tensor(values, dtype=torch.int64 if whole else torch.float64)


class Schedule(ABC):
    """alpha_t, sigma_t and what follows from them, on times t_min <= t <= t_max."""

    name: ClassVar[str]
    t_min: float
    t_max: float

    @abstractmethod
    def alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """Signal scale alpha_t."""

    @abstractmethod
    def sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """Noise scale sigma_t."""

    @abstractmethod
    def d_alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """d alpha / dt."""

    @abstractmethod
    def d_sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """d sigma / dt."""

    @abstractmethod
    def time_of(self, log_snr: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """The time at which the log-SNR has the given value: the inverse of ``log_snr``."""

    def log_snr(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """lambda_t = log(alpha_t^2 / sigma_t^2)."""
        return 2 * (torch.log(self.alpha(t)) - torch.log(self.sigma(t)))

    def d_log_snr(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """d lambda / dt = 2 (alpha'/alpha - sigma'/sigma)."""
        return 2 * (self.d_alpha(t) / self.alpha(t) - self.d_sigma(t) / self.sigma(t))

    def drift(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """f = d log alpha / dt, the linear drift of the forward SDE."""
        return self.d_alpha(t) / self.alpha(t)

    def diffusion_sq(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """g^2 = d(sigma^2)/dt - 2 f sigma^2, the squared diffusion of the forward SDE."""
        sigma_t = self.sigma(t)
        return 2 * sigma_t * (self.d_sigma(t) - self.drift(t) * sigma_t)

    def transition(
        self, s: Real[Tensor, "*time"], t: Real[Tensor, "*time"]
    ) -> tuple[Float64[Tensor, "*time"], Float64[Tensor, "*time"]]:
        """(A, V) of x_t | x_s ~ N(A x_s, V I) for s <= t.

        V = sigma_t^2 (1 - SNR_t / SNR_s), which keeps its digits when s is close to t.
        """
        ratio = torch.expm1(self.log_snr(t) - self.log_snr(s))
        return self.alpha(t) / self.alpha(s), -(self.sigma(t) ** 2) * ratio

    def times(self, values: Times) -> Real[Tensor, "n"]:
        """Distinct times of this schedule as a 1-d tensor.

        Raises:
            InputError: empty, not one-dimensional, not finite, repeated, or outside the schedule.
        """
        times = values if isinstance(values, Tensor) else _exactly(list(values))
        if times.dim() != 1 or len(times) == 0:
            raise InputError(f"expected a list of times, got shape {tuple(times.shape)}")
        times = self._own_times(times)
        outside = times[~((times >= self.t_min) & (times <= self.t_max))]
        if len(outside):
            raise InputError(
                f"times outside the schedule: expected {self.t_min:g} <= t <= {self.t_max:g} "
                f"({self.name}), got {outside[0].item():g}"
            )
        if len(times.unique()) < len(times):
            raise InputError("expected distinct times, got the same time twice")
        return times

    def _own_times(self, times: Tensor) -> Tensor:
        return times.to(torch.float64)

    def grid(self, n: int) -> Real[Tensor, "n"]:
        """n times from t_min to t_max, equally spaced in log-SNR (finite part of it)."""
        ends = self.log_snr(torch.tensor([self.t_min, self.t_max], dtype=torch.float64))
        high, low = ends.clamp(
            min=torch.where(ends.isinf(), -GRID_LOG_SNR, ends),
            max=torch.where(ends.isinf(), GRID_LOG_SNR, ends),
        ).tolist()
        times = self.time_of(torch.linspace(high, low, n, dtype=torch.float64))
        return times.clamp(self.t_min, self.t_max)

    def describe(self) -> dict[str, object]:
        """Name and parameters as plain data; ``from_description`` is the inverse."""
        return {"name": self.name} | {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]


class VariancePreserving(Schedule):
    """alpha_t^2 + sigma_t^2 = 1: sigma and its derivative follow from log alpha."""

    @abstractmethod
    def log_alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """log alpha_t."""

    @abstractmethod
    def d_log_alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """d log alpha / dt."""

    def alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return torch.exp(self.log_alpha(t.double()))

    def sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return torch.sqrt(-torch.expm1(2 * self.log_alpha(t.double())))

    def d_alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return self.alpha(t) * self.d_log_alpha(t.double())

    def d_sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return -(self.alpha(t) ** 2) * self.d_log_alpha(t.double()) / self.sigma(t)


@dataclass(frozen=True)
class VPLinear(VariancePreserving):
    """beta_t = beta_min + t (beta_max - beta_min); log alpha = -beta_min t/2 - (beta_max - beta_min) t^2/4.

    Song et al., "Score-Based Generative Modeling through SDEs" (2021), appendix C.
    """

    name: ClassVar[str] = "vp-linear"
    beta_min: float = 0.1
    beta_max: float = 20.0
    t_min: float = 0.0
    t_max: float = 1.0

    def log_alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return -self.beta_min * t / 2 - (self.beta_max - self.beta_min) * t**2 / 4

    def d_log_alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return -(self.beta_min + (self.beta_max - self.beta_min) * t) / 2

    def time_of(self, log_snr: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        slope = self.beta_max - self.beta_min
        minus_log_alpha = torch.nn.functional.softplus(-log_snr) / 2
        root = torch.sqrt(self.beta_min**2 + 4 * slope * minus_log_alpha)
        return 4 * minus_log_alpha / (self.beta_min + root)


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

    def log_alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return torch.log(torch.cos(self._angle(t))) - math.log(math.cos(self._first_angle))

    def d_log_alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return -math.pi / 2 / (1 + self.offset) * torch.tan(self._angle(t))

    def sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        t = t.double()
        theta, first = self._angle(t), self._first_angle
        step = math.pi / 2 * t / (1 + self.offset)
        return torch.sqrt(torch.sin(step) * torch.sin(theta + first)) / math.cos(first)

    def time_of(self, log_snr: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        alpha = torch.sqrt(torch.sigmoid(log_snr))
        sin_sq = torch.sigmoid(-log_snr) * math.cos(self._first_angle) ** 2
        sin_sq = sin_sq + math.sin(self._first_angle) ** 2
        theta = torch.atan2(torch.sqrt(sin_sq), alpha * math.cos(self._first_angle))
        return theta * (1 + self.offset) * 2 / math.pi - self.offset


class VarianceExploding(Schedule):
    """alpha_t = 1."""

    def alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return torch.ones_like(t, dtype=torch.float64)

    def d_alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
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
        return self.sigma_min * torch.exp(self._rate * t.double())

    def d_sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return self._rate * self.sigma(t)

    def time_of(self, log_snr: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return (-log_snr / 2 - math.log(self.sigma_min)) / self._rate


@dataclass(frozen=True)
class EDM(VarianceExploding):
    """sigma_t = t (Karras et al., "Elucidating the Design Space", 2022)."""

    name: ClassVar[str] = "edm"
    t_min: float = 0.002
    t_max: float = 80.0

    def sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return t.to(torch.float64)

    def d_sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return torch.ones_like(t, dtype=torch.float64)

    def time_of(self, log_snr: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return torch.exp(-log_snr / 2)


@dataclass(frozen=True)
class RectifiedFlow(Schedule):
    """alpha_t = 1 - t, sigma_t = t (Liu et al. 2023; Lipman et al. 2023)."""

    name: ClassVar[str] = "rectified-flow"
    t_min: float = 0.0
    t_max: float = 1.0

    def alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return 1 - t.to(torch.float64)

    def sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return t.to(torch.float64)

    def d_alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return -torch.ones_like(t, dtype=torch.float64)

    def d_sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return torch.ones_like(t, dtype=torch.float64)

    def time_of(self, log_snr: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return torch.sigmoid(-log_snr / 2)


@dataclass(frozen=True, repr=False)
class DiscreteSchedule(Schedule):
    """A table of cumulative alphas (DDPM): alpha_i^2 = alphas_cumprod[i], sigma_i^2 = 1 - alpha_i^2.

    Its times are the integer indices of the table. Between them log-SNR is linear in the index,
    which gives derivatives (of the segment to the right) and an inverse.

    Args:
        alphas_cumprod: strictly decreasing numbers in (0, 1), at least two.

    Raises:
        InputError: a table that is not of that kind.
    """

    name: ClassVar[str] = "discrete"
    alphas_cumprod: Tensor | Sequence[float]
    _log_snr: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        table = torch.as_tensor(self.alphas_cumprod, dtype=torch.float64).cpu()
        if table.dim() != 1 or len(table) < 2:
            raise InputError(
                f"alphas_cumprod: expected at least two numbers, got shape {tuple(table.shape)}"
            )
        if not (((table > 0) & (table < 1)).all() and (table.diff() < 0).all()):
            raise InputError(
                "alphas_cumprod: expected numbers strictly between 0 and 1, strictly decreasing"
            )
        object.__setattr__(self, "alphas_cumprod", tuple(table.tolist()))
        object.__setattr__(self, "_log_snr", torch.logit(table))

    @property
    def t_min(self) -> float:  # type: ignore[override]
        return 0.0

    @property
    def t_max(self) -> float:  # type: ignore[override]
        return len(self.alphas_cumprod) - 1.0

    def _segment(self, t: Tensor) -> tuple[Tensor, Tensor]:
        left = t.floor().long().clamp(0, len(self._log_snr) - 2)
        return left, self._log_snr[left + 1] - self._log_snr[left]

    def log_snr(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        left, slope = self._segment(t.to(torch.float64))
        return self._log_snr[left] + slope * (t - left)

    def d_log_snr(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return self._segment(t.to(torch.float64))[1]

    def alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return torch.sqrt(torch.sigmoid(self.log_snr(t)))

    def sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return torch.sqrt(torch.sigmoid(-self.log_snr(t)))

    def d_alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return self.alpha(t) * self.sigma(t) ** 2 * self.d_log_snr(t) / 2

    def d_sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        return -self.sigma(t) * self.alpha(t) ** 2 * self.d_log_snr(t) / 2

    def time_of(self, log_snr: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        descending = -self._log_snr
        right = torch.searchsorted(descending, -log_snr.contiguous())
        left = (right - 1).clamp(0, len(descending) - 2)
        slope = self._log_snr[left + 1] - self._log_snr[left]
        return left + (log_snr - self._log_snr[left]) / slope

    def _own_times(self, times: Tensor) -> Tensor:
        if times.is_floating_point() and not torch.equal(times, times.round()):
            raise InputError("a discrete schedule's times are the integer indices of its table")
        return times.to(torch.int64)

    def grid(self, n: int) -> Real[Tensor, "n"]:
        """At most n integer times, as equally spaced in log-SNR as the table allows."""
        return super().grid(n).round().long().unique()

    def describe(self) -> dict[str, object]:
        return {"name": self.name, "alphas_cumprod": list(self.alphas_cumprod)}

    def __repr__(self) -> str:
        first, last = self._log_snr[[0, -1]].tolist()
        steps = len(self.alphas_cumprod)
        return f"DiscreteSchedule({steps} steps, log-SNR {first:.6g} to {last:.6g})"


NAMED: dict[str, type[Schedule]] = {
    kind.name: kind
    for kind in (VPLinear, VPCosine, VEGeometric, EDM, RectifiedFlow, DiscreteSchedule)
}


def from_description(description: dict[str, object]) -> Schedule:
    """The schedule that ``describe`` described.

    Raises:
        InputError: an unknown name or unknown parameters.
    """
    parameters = dict(description)
    name = parameters.pop("name", None)
    if name not in NAMED:
        raise InputError(f"schedule: expected one of {', '.join(NAMED)}, got {name!r}")
    try:
        return NAMED[str(name)](**parameters)
    except TypeError as error:
        raise InputError(f"schedule {name}: {error}") from error
