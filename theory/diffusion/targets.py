"""Prediction targets: a network predicts y = A_t x_0 + B_t e.

No other module knows parametrizations. With x_t = alpha_t x_0 + sigma_t e, any two of
them determine (x_0, e) by the 2x2 system

    [x_t]   [alpha_t  sigma_t] [x_0]
    [ y ] = [  A_t      B_t  ] [ e ]

of determinant alpha_t B_t - sigma_t A_t, and with it every other target.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64, Real
from torch import Tensor

from theory.diffusion.schedules import Schedule
from theory.support.broadcasting import along_batch
from theory.support.errors import InputError


@dataclass(frozen=True)
class Target:
    """A parametrization y = A_t x_0 + B_t e.

    Attributes:
        name: as it is given on the command line and stored in files.
        coefficients: (A_t, B_t) from a schedule and times.
    """

    name: str
    coefficients: Callable[[Schedule, Tensor], tuple[Tensor, Tensor]]

    def value(
        self,
        schedule: Schedule,
        t: Real[Tensor, "*time"],
        x_0: Float[Tensor, "*batch"],
        e: Float[Tensor, "*batch"],
    ) -> Float[Tensor, "*batch"]:
        """A_t x_0 + B_t e for data and noise (b, ...) at times (b,) or ()."""
        a, b = self.coefficients(schedule, t)
        return along_batch(a, x_0) * x_0 + along_batch(b, e) * e

    def determinant(self, schedule: Schedule, t: Real[Tensor, "*time"]) -> Float64[Tensor, "*time"]:
        """alpha_t B_t - sigma_t A_t; zero where y does not determine the noise given x_t."""
        a, b = self.coefficients(schedule, t)
        return schedule.alpha(t) * b - schedule.sigma(t) * a

    def __repr__(self) -> str:
        return f"Target({self.name!r})"

    def __reduce__(self) -> Any:
        """By name, where it has one: functions cannot be pickled."""
        return (named, (self.name,)) if NAMED.get(self.name) == self else super().__reduce__()


def _ones(t: Tensor) -> Tensor:
    return torch.ones_like(t, dtype=torch.float64)


NOISE = Target("noise", lambda schedule, t: (0 * _ones(t), _ones(t)))
DATA = Target("data", lambda schedule, t: (_ones(t), 0 * _ones(t)))
SCORE = Target("score", lambda schedule, t: (0 * _ones(t), -1 / schedule.sigma(t)))
VELOCITY = Target("velocity", lambda schedule, t: (-schedule.sigma(t), schedule.alpha(t)))
FLOW = Target("flow", lambda schedule, t: (schedule.d_alpha(t), schedule.d_sigma(t)))


def edm_raw(sigma_data: float, name: str = "edm-raw") -> Target:
    """The target of EDM's raw network F, which its preconditioning turns into a denoiser.

    With r = sigma_t / alpha_t, the denoiser is D = c_skip x_t/alpha_t + c_out F for
    c_skip = sigma_data^2 / (r^2 + sigma_data^2) and c_out = r sigma_data / sqrt(r^2 + sigma_data^2),
    so that F = (x_0 - c_skip x_t/alpha_t) / c_out stands for

        A = r / (sigma_data sqrt(r^2 + sigma_data^2)),    B = -sigma_data / sqrt(r^2 + sigma_data^2).

    Karras et al., "Elucidating the Design Space" (2022), table 1.
    """

    def coefficients(schedule: Schedule, t: Tensor) -> tuple[Tensor, Tensor]:
        """(A, B) at these times."""
        ratio = torch.exp(-schedule.log_snr(t) / 2)
        norm = torch.sqrt(ratio**2 + sigma_data**2)
        return ratio / (sigma_data * norm), -sigma_data / norm

    return Target(name, coefficients)


EDM_RAW = edm_raw(0.5)
"""For sigma_data = 0.5, that of EDM's own networks."""

NAMED = {target.name: target for target in (NOISE, DATA, SCORE, VELOCITY, FLOW, EDM_RAW)}
"""The targets by name."""


def named(name: str) -> Target:
    """The target of that name.

    Raises:
        InputError: there is none.
    """
    if name not in NAMED:
        raise InputError(f"target: expected one of {', '.join(NAMED)}, got {name!r}")
    return NAMED[name]


def data_and_noise(
    y: Float[Tensor, "*batch"],
    x_t: Float[Tensor, "*batch"],
    t: Real[Tensor, "*time"],
    source: Target,
    schedule: Schedule,
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """(x_0, e) of a prediction y at x_t, by the 2x2 system at the head of this module.

    Args:
        y: a prediction of ``source``, (b, ...).
        x_t: where it was made, (b, ...).
        t: times (b,) or ().
        source: the target of y.
        schedule: of the diffusion.
    """
    a, b = (along_batch(c, y) for c in source.coefficients(schedule, t))
    alpha_t, sigma_t = along_batch(schedule.alpha(t), y), along_batch(schedule.sigma(t), y)
    det = alpha_t * b - sigma_t * a
    return (b * x_t - sigma_t * y) / det, (alpha_t * y - a * x_t) / det


def convert(
    y: Float[Tensor, "*batch"],
    x_t: Float[Tensor, "*batch"],
    t: Real[Tensor, "*time"],
    source: Target,
    to: Target,
    schedule: Schedule,
) -> Float[Tensor, "*batch"]:
    """The prediction y of ``source`` at x_t as a prediction of ``to``.

    Args:
        y: a prediction of ``source``, (b, ...).
        x_t: where it was made, (b, ...).
        t: times (b,) or ().
        source: the target of y.
        to: the target of the result.
        schedule: of the diffusion.
    """
    return to.value(schedule, t, *data_and_noise(y, x_t, t, source, schedule))


def shift_factor(
    t: Real[Tensor, "*time"], source: Target, to: Target, schedule: Schedule
) -> Float64[Tensor, "*time"]:
    """det_to / det_source, by which converting ``source`` to ``to`` scales a shift of predictions.

    The difference of two predictions at the same x_t is that of some x_0 and e with
    alpha x_0 + sigma e = 0, so that it is only rescaled: calibrating and converting commute.
    """
    return to.determinant(schedule, t) / source.determinant(schedule, t)
