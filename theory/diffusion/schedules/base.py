"""The base class of schedules: alpha_t, sigma_t, and what follows from them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import fields
from typing import ClassVar

import torch
from jaxtyping import Float64, Real
from torch import Tensor

from theory.support.errors import InputError

Times = Tensor | Iterable[int | float]
"""Times as a caller gives them: a tensor or plain numbers."""

GRID_LOG_SNR = 10.0
"""The largest absolute log-SNR of a grid on a schedule whose log-SNR is infinite at an end."""


def _exactly(values: list[int | float]) -> Tensor:
    """A tensor of numbers without rounding: integers as int64, others as float64."""
    whole = all(isinstance(value, int) for value in values)
    return torch.tensor(values, dtype=torch.int64 if whole else torch.float64)


class Schedule(ABC):
    """alpha_t, sigma_t and what follows from them, at times t_min <= t <= t_max.

    A schedule defines ``alpha``, ``sigma``, their derivatives and ``time_of``. Every method takes
    times of any shape and returns float64 of that shape.
    """

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
        """These times as a one-dimensional tensor, checked to be distinct times of this schedule.

        Raises:
            InputError: no times, not one-dimensional, not finite, repeated, or outside the schedule.
        """
        times = values if isinstance(values, Tensor) else _exactly(list(values))
        if times.dim() != 1 or len(times) == 0:
            raise InputError(f"times: expected a list of them, got shape {tuple(times.shape)}")
        if times.is_complex() or times.dtype == torch.bool:
            raise InputError(f"times: expected real numbers, got {times.dtype}")
        outside = times[~((times >= self.t_min) & (times <= self.t_max))]
        if len(outside):
            raise InputError(
                f"times outside the schedule: expected {self.t_min:g} <= t <= {self.t_max:g} "
                f"({self.name}), got {outside[0].item():g}"
            )
        times = self._own_times(times)
        if len(times.unique()) < len(times):
            raise InputError("times: expected distinct ones, got the same time twice")
        return times

    def _own_times(self, times: Tensor) -> Tensor:
        return times.to(torch.float64)

    def grid(self, n: int) -> Real[Tensor, "n"]:
        """n times from t_min to t_max, equally spaced in log-SNR.

        An infinite log-SNR at an end is replaced by ``GRID_LOG_SNR`` in absolute value.
        """
        ends = self.log_snr(torch.tensor([self.t_min, self.t_max], dtype=torch.float64))
        high, low = ends.clamp(
            min=torch.where(ends.isinf(), -GRID_LOG_SNR, ends),
            max=torch.where(ends.isinf(), GRID_LOG_SNR, ends),
        ).tolist()
        times = self.time_of(torch.linspace(high, low, n, dtype=torch.float64))
        return times.clamp(self.t_min, self.t_max)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def describe(self) -> dict[str, object]:
        """Name and parameters as plain data; ``from_description`` is the inverse."""
        return {"name": self.name} | {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
