"""Exact models to which a known error is added, so that their calibration has a closed form.

In the parametrization y = A x_0 + B e of the target, the model predicts

    y_theta = E[y|x_t] + c_t + kappa (x_t - alpha_t E[x_0]) + rho (E[y|x_t] - A_t E[x_0])
              + a sin(omega x_t + phi)

so that eta_t = E[y_theta] - A E[x_0] = c_t + a E[sin(omega x_t + phi)], and for a component
N(m, v) of a coordinate E sin(omega x + phi) = exp(-omega^2 v / 2) sin(omega m + phi). The linear
parts have mean zero, so that no constant shift removes them.

Given x_t, x_0 is a mixture of Gaussians. The mean of a quadratic of a Gaussian is that over two
points, its mean plus and minus its deviation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from theory.diffusion.targets import NOISE, Target
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import float64


@dataclass(frozen=True)
class PlantedErrorModel:
    """The exact model of a diffusion plus a planted error, called as predict(x_t, t, condition=None).

    Attributes:
        diffusion: of which it is a model.
        target: what it predicts.
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
        """y_theta at points (*batch, d) and one time, (*batch, d)."""
        mean, y = self.diffusion.data.mean(), self.exact(x_t, t)
        a, _ = self.target.coefficients(self.diffusion.schedule, float64(t))
        planted = self.constant(t) + self.slope * (x_t - self.diffusion.scales(t)[0] * mean)
        return y + planted + self.scale * (y - a * mean) + self.amplitude * self._wave(x_t)

    def exact(self, x_t: Tensor, t: float) -> Tensor:
        """E[y|x_t], the prediction without the planted error, (*batch, d)."""
        a, b = self.target.coefficients(self.diffusion.schedule, float64(t))
        x_0, e = self.diffusion.posterior_mean(x_t, t), self.diffusion.noise_prediction(x_t, t)
        return a * x_0 + b * e

    def _wave(self, x: Tensor) -> Tensor:
        return torch.sin(self.frequency * x + self.phase)

    def eta(self, t: float) -> Tensor:
        """eta_t, the constant shift that lowers the loss most, (d,)."""
        law = self.diffusion.marginal(t)
        variances = torch.diagonal(law.covariances(), dim1=-2, dim2=-1)
        damping = torch.exp(-(self.frequency**2) * variances / 2)
        waves = torch.exp(law.log_weights) @ (damping * self._wave(law.means))
        return self.constant(t) + self.amplitude * waves


def cosine_bias(bias: Tensor) -> Callable[[float], Tensor]:
    """c_t = bias cos(t), a constant error that changes with time."""
    return lambda t: bias * math.cos(t)


Value = Callable[[PlantedErrorModel, float, Tensor, Tensor], Tensor]
"""From a model, a time, x_0 and e to the target y."""


def known_target(model: PlantedErrorModel, t: float, x_0: Tensor, e: Tensor) -> Tensor:
    """y = A x_0 + B e."""
    return model.target.value(model.diffusion.schedule, float64(t), x_0, e)


def denoising_terms(
    model: PlantedErrorModel,
    t: float,
    x_t: Tensor,
    of: Callable[[Tensor, Tensor], Tensor],
    value: Value,
) -> Tensor:
    """E[of(y_theta, y)|x_t], (N, m).

    Args:
        model: whose prediction is y_theta.
        t: the time.
        x_t: points (N, 1).
        of: from y_theta (N, 1) and y (N, K) to values (m, N, K); quadratic in y.
        value: the target y.
    """
    alpha_t, sigma_t = model.diffusion.scales(t)
    posterior, y_theta = model.diffusion.posterior(x_t, t), model.at(x_t, t)
    result = torch.zeros((), dtype=torch.float64)
    for sign in (-1.0, 1.0):
        x_0 = posterior.means[..., 0] + sign * posterior.variances[:, 0].sqrt()
        e = (x_t - alpha_t * x_0) / sigma_t
        terms = of(y_theta, value(model, t, x_0, e))
        result = result + torch.einsum("nk,mnk->nm", torch.exp(posterior.log_weights), terms) / 2
    return result
