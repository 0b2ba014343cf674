"""An affine score, whose reverse SDE and ODE both have Gaussian laws in closed form.

The model's score is s_theta(x, t) = -(kappa (x - alpha m) + alpha b) / sigma^2. In u = x/alpha and
over log-SNR lambda, increasing as t falls, its reverse processes are

    SDE: du = -(kappa (u - m) + b) dlambda + exp(-lambda/2) dw,
    ODE: du = -(kappa (u - m) + b)/2 dlambda,

so that a Gaussian u_t of mean mu_t and variance v_t has at s < t, with D = lambda_s - lambda_t and
fixed point r = m - b/kappa,

    SDE: mu_s = r + (mu_t - r) exp(-kappa D),
         v_s = v_t exp(-2 kappa D) + exp(-lambda_s) (1 - exp(-(2 kappa - 1) D)) / (2 kappa - 1);
    ODE: mu_s = r + (mu_t - r) exp(-kappa D/2),   v_s = v_t exp(-kappa D).

For kappa = 1, b = 0 it is the exact score of data that is m for certain.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from theory.schedules import Schedule
from toy.diffusion import as_time
from toy.mixture import GaussianMixture


@dataclass(frozen=True)
class AffineModel:
    """kappa, m, b, and the law of u = x/alpha at the largest time: ``mean``, ``deviation`` sigma/alpha."""

    schedule: Schedule
    slope: float
    centre: float
    bias: float
    mean: float
    deviation: float

    def score(self, x: Tensor, t: float) -> Tensor:
        """s_theta(x, t)."""
        alpha_t, sigma_t = self._scales(t)
        residual = self.slope * (x - alpha_t * self.centre) + alpha_t * self.bias
        return -residual / sigma_t**2

    def prior(self, t: float) -> GaussianMixture:
        """p_t at the largest time."""
        return self._law(t, self.mean, self._prior_variance(t))

    def sde_law(self, s: float, t: float) -> GaussianMixture:
        """p_s of the SDE run from ``prior(t)``."""
        gap, rate = self._gap(s, t), 2 * self.slope - 1
        noise = math.exp(-self._log_snr(s)) * -math.expm1(-rate * gap) / rate
        variance = self._prior_variance(t) * math.exp(-2 * self.slope * gap) + noise
        return self._law(s, self._decayed(math.exp(-self.slope * gap)), variance)

    def ode_law(self, s: float, t: float) -> GaussianMixture:
        """p_s of the ODE run from ``prior(t)``."""
        decay = math.exp(-self.slope * self._gap(s, t) / 2)
        return self._law(s, self._decayed(decay), self._prior_variance(t) * decay**2)

    def _decayed(self, decay: float) -> float:
        fixed = self.centre - self.bias / self.slope
        return fixed + (self.mean - fixed) * decay

    def _prior_variance(self, t: float) -> float:
        return self.deviation**2 * math.exp(-self._log_snr(t))

    def _gap(self, s: float, t: float) -> float:
        return self._log_snr(s) - self._log_snr(t)

    def _log_snr(self, t: float) -> float:
        return self.schedule.log_snr(as_time(t)).item()

    def _scales(self, t: float) -> tuple[float, float]:
        return self.schedule.alpha(as_time(t)).item(), self.schedule.sigma(as_time(t)).item()

    def _law(self, t: float, mean: float, variance: float) -> GaussianMixture:
        alpha_t, _ = self._scales(t)
        one = torch.ones(1, dtype=torch.float64)
        return GaussianMixture.diagonal(
            one, alpha_t * mean * one[:, None], alpha_t**2 * variance * one
        )
