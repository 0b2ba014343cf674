"""How far the score martingale of a mixture can stray, with probabilities that hold for any n.

M = alpha_t grad log q_t has quadratic variation d<u.M> = alpha^2 g^2 |Hess(log q_t) u|^2 dt along
the reverse process. For a mixture whose components share the covariance v I and whose means lie
within a ball of diameter D, at marginal variance c = alpha^2 v + sigma^2,

    |Hess log q_t|_op <= L_t = max(1/c, alpha^2 D^2 / (4 c^2) - 1/c),

as Hess = -I/c + (alpha^2/c^2) Cov(mu|x_t) and 0 <= Cov(mu|x_t) <= D^2/4 I. Hence for a unit vector
u, u.(M_s - M_t) given x_t is sub-Gaussian with variance proxy V = int_s^t alpha^2 g^2 L^2 dr.
"""

import math

import torch
from scipy.integrate import quad
from torch import Tensor

from theory.schedules import Schedule


def hessian_bound(alpha_t: Tensor, sigma_t: Tensor, v: float, diameter: float) -> Tensor:
    """L_t, a bound of the operator norm of Hess log q_t."""
    c = alpha_t**2 * v + sigma_t**2
    return torch.maximum(1 / c, alpha_t**2 * diameter**2 / (4 * c**2) - 1 / c)


def variance_proxy(schedule: Schedule, v: float, diameter: float, s: float, t: float) -> float:
    """V = int_s^t alpha^2 g^2 L^2 dr = int alpha^2 sigma^2 L^2 d lambda, over log-SNR lambda.

    The quadrature's own error estimate is added, so that V stays an upper bound.
    """

    def density(log_snr: float) -> float:
        r = schedule.time_of(torch.tensor(log_snr, dtype=torch.float64))
        alpha_r, sigma_r = schedule.alpha(r), schedule.sigma(r)
        bound = hessian_bound(alpha_r, sigma_r, v, diameter)
        return (alpha_r**2 * sigma_r**2 * bound**2).item()

    ends = schedule.log_snr(torch.tensor([t, s], dtype=torch.float64)).tolist()
    value, error = quad(density, *ends, epsrel=1e-8, limit=200)
    return value + error


def mean_deviation(variance: float, n: int, level: float) -> float:
    """Half-width that the mean of n sub-Gaussian draws exceeds with probability at most ``level``.

    Two-sided: sqrt(2 V log(2/level) / n), from P(|mean| >= eps) <= 2 exp(-n eps^2 / (2V)).
    """
    return math.sqrt(2 * variance * math.log(2 / level) / n)
