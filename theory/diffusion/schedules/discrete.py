"""A schedule given by a table of cumulative alphas, as in DDPM (Ho et al. 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float64, Real
from torch import Tensor

from theory.diffusion.schedules.base import Schedule
from theory.support.errors import InputError


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
        """0, the first index."""
        return 0.0

    @property
    def t_max(self) -> float:  # type: ignore[override]
        """The last index."""
        return len(self.alphas_cumprod) - 1.0

    def _segment(self, t: Tensor) -> tuple[Tensor, Tensor]:
        left = t.floor().long().clamp(0, len(self._log_snr) - 2)
        return left, self._log_snr[left + 1] - self._log_snr[left]

    def log_snr(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """log(alpha_t^2 / sigma_t^2), linear between indices."""
        left, slope = self._segment(t.double())
        return self._log_snr[left] + slope * (t - left)

    def d_log_snr(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """The slope of the segment to the right of t."""
        return self._segment(t.double())[1]

    def alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """sqrt(sigmoid(lambda_t))."""
        return torch.sqrt(torch.sigmoid(self.log_snr(t)))

    def sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """sqrt(sigmoid(-lambda_t))."""
        return torch.sqrt(torch.sigmoid(-self.log_snr(t)))

    def d_alpha(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """alpha_t sigma_t^2 lambda'_t / 2."""
        return self.alpha(t) * self.sigma(t) ** 2 * self.d_log_snr(t) / 2

    def d_sigma(self, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """-sigma_t alpha_t^2 lambda'_t / 2."""
        return -self.sigma(t) * self.alpha(t) ** 2 * self.d_log_snr(t) / 2

    def time_of(self, log_snr: Float64[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """By linear interpolation between the two nearest indices of the table."""
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
        """The name and the table as plain data."""
        return {"name": self.name, "alphas_cumprod": list(self.alphas_cumprod)}

    def __repr__(self) -> str:
        first, last = self._log_snr[[0, -1]].tolist()
        steps = len(self.alphas_cumprod)
        return f"DiscreteSchedule({steps} steps, log-SNR {first:.6g} to {last:.6g})"
