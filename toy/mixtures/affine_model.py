"""An affine score, whose reverse SDE and ODE both have Gaussian laws in closed form.

The model's score is s_theta(x, t) = -(kappa (x - alpha m) + alpha b) / (alpha^2 v + sigma^2). In
u = x/alpha and over log-SNR lambda, increasing as t falls, with C = v + exp(-lambda) and
d log C/dlambda = -1/(1 + v exp(lambda)), its reverse processes are

    SDE: du =  (kappa (u - m) + b) d log C + exp(-lambda/2) dw,
    ODE: du = ((kappa (u - m) + b)/2) d log C,

so that a Gaussian u_t of mean mu_t and variance v_t has at s < t, with R = C_s/C_t and fixed point
r = m - b/kappa,

    SDE: mu_s = r + (mu_t - r) R^kappa,
         v_s = v_t R^(2 kappa) + C_s (1 - R^(2 kappa - 1)) / (2 kappa - 1);
    ODE: mu_s = r + (mu_t - r) R^(kappa/2),   v_s = v_t R^kappa.

For kappa = 1, b = 0 it is the exact score of data N(m, v), which v = 0 makes m for certain. Its mean
under data of mean mu is -alpha (kappa (mu - m) + b)/(alpha^2 v + sigma^2): calibrated, it is the
affine score of m = mu and b = 0.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from theory.diffusion.schedules import Schedule
from toy.mixtures.mixture import GaussianMixture, float64


@dataclass(frozen=True)
class AffineModel:
    """An affine score, and the Gaussian law from which its reverse processes start.

    Attributes:
        schedule: of the diffusion.
        slope, centre, bias, variance: kappa, m, b, v.
        mean, deviation: of u = x/alpha at the largest time, the deviation in units of sqrt(C).
    """

    schedule: Schedule
    slope: float
    centre: float
    bias: float
    variance: float
    mean: float
    deviation: float

    def score(self, x: Tensor, t: float | Tensor) -> Tensor:
        """s_theta(x, t), for a time or times that broadcast to x."""
        time = torch.as_tensor(t, dtype=torch.float64)
        alpha_t = self.schedule.alpha(time)
        residual = self.slope * (x - alpha_t * self.centre) + alpha_t * self.bias
        return -residual / (alpha_t**2 * self._spread(time))

    def mean_score(self, data_mean: float, t: Tensor) -> Tensor:
        """E s_theta(x_t, t) at times (T,), for data of that mean, (T,)."""
        return self.score(self.schedule.alpha(t) * data_mean, t)

    def calibrated(self, data_mean: float) -> "AffineModel":
        """The model s_theta - E s_theta for data of that mean, with the same prior."""
        return replace(self, centre=data_mean, bias=0.0)

    def prior(self, t: float) -> GaussianMixture:
        """p_t at the largest time."""
        variance = self._prior_variance(float64(t))
        return self._law(t, torch.full_like(variance, self.mean), variance)

    def sde_law(self, s: float, t: float) -> GaussianMixture:
        """p_s of the SDE run from ``prior(t)``."""
        return self._law(s, *self.sde_moments(float64(s), float64(t)))

    def ode_law(self, s: float, t: float) -> GaussianMixture:
        """p_s of the ODE run from ``prior(t)``."""
        return self._law(s, *self.ode_moments(float64(s), float64(t)))

    def sde_moments(self, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of u_s by the SDE run from ``prior(t)``."""
        log_ratio, rate = self._log_ratio(s, t), 2 * self.slope - 1
        noise = self._spread(s) * -torch.expm1(rate * log_ratio) / rate
        decay = torch.exp(self.slope * log_ratio)
        return self._decayed(decay), self._prior_variance(t) * decay**2 + noise

    def ode_moments(self, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of u_s by the ODE run from ``prior(t)``."""
        decay = torch.exp(self.slope / 2 * self._log_ratio(s, t))
        return self._decayed(decay), self._prior_variance(t) * decay**2

    def _decayed(self, decay: Tensor) -> Tensor:
        fixed = self.centre - self.bias / self.slope
        return fixed + (self.mean - fixed) * decay

    def _prior_variance(self, t: Tensor) -> Tensor:
        return self.deviation**2 * self._spread(t)

    def _spread(self, t: Tensor) -> Tensor:
        return torch.exp(self._log_spread(t))

    def _log_spread(self, t: Tensor) -> Tensor:
        """log C = log(v + exp(-lambda)), for v = 0 too."""
        log_variance = torch.log(float64(self.variance))
        return torch.logaddexp(log_variance, -self.schedule.log_snr(t))

    def _log_ratio(self, s: Tensor, t: Tensor) -> Tensor:
        """log R."""
        return self._log_spread(s) - self._log_spread(t)

    def _law(self, t: float, mean: Tensor, variance: Tensor) -> GaussianMixture:
        """Of x = alpha u."""
        alpha_t = self.schedule.alpha(float64(t))
        return GaussianMixture.diagonal(
            torch.ones(1), (alpha_t * mean).reshape(1, 1), (alpha_t**2 * variance).reshape(1)
        )
