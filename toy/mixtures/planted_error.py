"""Exact models with planted error, whose calibration is known in closed form.

In the parametrization y = A x_0 + B e of the target, the model predicts

    y_theta = E[y|x_t] + c_t + kappa (x_t - alpha_t E[x_0]) + rho (E[y|x_t] - A_t E[x_0])
              + a sin(omega x_t + phi)

so that eta_t = E[y_theta] - A E[x_0] = c_t + a E[sin(omega x_t + phi)], and for a component
N(m, v) of a coordinate E sin(omega x + phi) = exp(-omega^2 v / 2) sin(omega m + phi). The linear
parts have mean zero: no constant can mend them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from theory.diffusion.targets import NOISE, Target
from toy.mixtures.diffusion import Diffusion, as_time


@dataclass(frozen=True)
class Misfit:
    """A model of the diffusion with planted error. Called as predict(x_t, t, condition=None).

    Attributes:
        diffusion, target: the exact model, and what is predicted.
        constant: c_t, from a time to a tensor that broadcasts to (d,).
        slope, amplitude, frequency, phase, scale: kappa, a, omega, phi, rho.
    """

    diffusion: Diffusion
    target: Target = NOISE
    constant: Callable[[float], Tensor] = lambda t: torch.zeros((), dtype=torch.float64)
    slope: float = 0.0
    amplitude: float = 0.0
    frequency: float = 1.0
    phase: float = 0.0
    scale: float = 0.0

    def __call__(self, x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        y = torch.empty_like(x_t)
        for time in map(float, t.unique().tolist()):
            y[t == time] = self.at(x_t[t == time], time)
        return y

    def at(self, x_t: Tensor, t: float) -> Tensor:
        """The prediction at one time, (*batch, d)."""
        mean, y = self.diffusion.data.mean(), self.exact(x_t, t)
        a, _ = self.target.coefficients(self.diffusion.schedule, as_time(t))
        planted = self.constant(t) + self.slope * (x_t - self.diffusion.scales(t)[0] * mean)
        return y + planted + self.scale * (y - a * mean) + self.amplitude * self._wave(x_t)

    def exact(self, x_t: Tensor, t: float) -> Tensor:
        """E[y|x_t], (*batch, d)."""
        a, b = self.target.coefficients(self.diffusion.schedule, as_time(t))
        x_0, e = self.diffusion.posterior_mean(x_t, t), self.diffusion.noise_prediction(x_t, t)
        return a * x_0 + b * e

    def _wave(self, x: Tensor) -> Tensor:
        return torch.sin(self.frequency * x + self.phase)

    def eta(self, t: float) -> Tensor:
        """The exact best shift at time t, (d,)."""
        law = self.diffusion.marginal(t)
        variances = torch.diagonal(law.covariances(), dim1=-2, dim2=-1)
        damping = torch.exp(-(self.frequency**2) * variances / 2)
        waves = torch.exp(law.log_weights) @ (damping * self._wave(law.means))
        return self.constant(t) + self.amplitude * waves


def growing(bias: Tensor) -> Callable[[float], Tensor]:
    """A constant error that changes with time: c_t = bias cos(t)."""
    return lambda t: bias * math.cos(t)
