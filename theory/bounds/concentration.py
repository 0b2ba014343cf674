"""Concentration of the reverse martingales: tail bounds of their suprema over time.

The reverse process runs from t down to s < t. M = alpha grad log q has quadratic variation
d<u.M> = alpha^2 g^2 |Hess(log q) u|^2 dr along it. For a mixture whose components share the
covariance v I and whose means lie within a ball of diameter D, at marginal variance
c = alpha^2 v + sigma^2,

    |Hess log q_r|_op <= L_r = max(1/c, alpha^2 D^2 / (4 c^2) - 1/c),

as Hess = -I/c + (alpha^2/c^2) Cov(mu|x_r) and 0 <= Cov(mu|x_r) <= D^2/4 I. Hence for a unit vector
u, u.(M_s - M_t) given x_t is sub-Gaussian with variance proxy V = int_s^t alpha^2 g^2 L^2 dr.

Every bound of a supremum below is for the continuous path. The supremum over a grid is no larger, so
that the bounds hold on a grid too, and paths on a grid can refute them. Paths on a grid can refute no
lower bound, as they may exceed a level between the points of the grid.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from scipy.integrate import quad
from torch import Tensor

from theory.diffusion.schedules import Schedule
from theory.support.errors import InputError


def hessian_bound(alpha_t: Tensor, sigma_t: Tensor, v: float, diameter: float) -> Tensor:
    """L_t = max(1/c, alpha^2 D^2 / (4 c^2) - 1/c), a bound of the operator norm of Hess log q_t.

    Args:
        alpha_t: signal scale, of any shape.
        sigma_t: noise scale, of the same shape.
        v: variance that the components share.
        diameter: D, of a ball that holds their means.
    """
    c = alpha_t**2 * v + sigma_t**2
    return torch.maximum(1 / c, alpha_t**2 * diameter**2 / (4 * c**2) - 1 / c)


def variance_proxy(schedule: Schedule, v: float, diameter: float, s: float, t: float) -> float:
    """V = int_s^t alpha^2 g^2 L^2 dr = int alpha^2 sigma^2 L^2 d lambda, over log-SNR lambda.

    The quadrature's estimate of its error is added, so that V stays an upper bound.

    Args:
        schedule: of the diffusion.
        v: variance that the components share.
        diameter: D, of a ball that holds their means.
        s: the end of the reverse process.
        t: its start, t > s.
    """

    def density(log_snr: float) -> float:
        """alpha^2 sigma^2 L^2 at this log-SNR."""
        r = schedule.time_of(torch.tensor(log_snr, dtype=torch.float64))
        alpha_r, sigma_r = schedule.alpha(r), schedule.sigma(r)
        bound = hessian_bound(alpha_r, sigma_r, v, diameter)
        return (alpha_r**2 * sigma_r**2 * bound**2).item()

    ends = schedule.log_snr(torch.tensor([t, s], dtype=torch.float64)).tolist()
    value, error = quad(density, *ends, epsabs=0.0, epsrel=1e-11, limit=200)
    return value + error


def marginal_proxy(alpha_t: float, sigma_t: float, v: float) -> float:
    """Variance proxy alpha^2/c of u.M_t under the marginal q_t, for the same mixtures.

    With x_t = alpha mu + sqrt(c) z, M_t = -alpha E[z|x_t]/sqrt(c), and conditioning lowers
    E exp(u.M_t) (Jensen).
    """
    return alpha_t**2 / (alpha_t**2 * v + sigma_t**2)


def mean_deviation(variance: float, n: int, level: float) -> float:
    """sqrt(2 V log(2/level) / n): the |mean| of n sub-Gaussian draws exceeds it at most that often.

    It solves 2 exp(-n eps^2 / (2V)) = level, the two-sided bound of P(|mean| >= eps), for eps.
    """
    return math.sqrt(2 * variance * math.log(2 / level) / n)


def doob(eps: float, moment: float, p: float) -> float:
    """P(sup_{s <= r <= t} |M_r| >= eps) <= E|M_s|^p / eps^p, p >= 1, as |M| is a submartingale.

    Args:
        moment: E|M_s|^p at s, where the reverse process ends and the moment is largest.

    Raises:
        InputError: p < 1, or eps that is not positive.
    """
    if p < 1:
        raise InputError(f"Doob's inequality: expected p >= 1, got {p:g}")
    return min(1.0, moment / _positive(eps) ** p)


def quadratic_variation_tail(eps: float, variance: float) -> float:
    """P(M_r - M_t >= eps for some r with <M>_r <= V) <= exp(-eps^2 / (2V)), M in one direction.

    Freedman's inequality for continuous paths, from the supermartingale exp(a M - a^2 <M>/2) at
    a = eps/V. Where <M> <= V always (``variance_proxy``) it bounds the whole supremum.

    Raises:
        InputError: eps or V that is not positive.
    """
    return math.exp(-(_positive(eps) ** 2) / (2 * _positive(variance)))


def ville(threshold: float, start: float = 1.0) -> float:
    """P(sup_r L_r >= threshold) <= start / threshold for a positive martingale from ``start``.

    The translations L_r(h) have ``start`` 1, their mean, or L_t(h) given x_t.

    Raises:
        InputError: a threshold that is not positive.
    """
    return min(1.0, start / _positive(threshold))


@dataclass(frozen=True)
class ComponentProbability:
    """P(k|x_t), the posterior probability of a component of any mixture, which is in [0, 1]."""

    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0


@dataclass(frozen=True)
class PosteriorMean:
    """u.E[x_0|x_t] of bounded data, low <= u.x_0 <= high; a Gaussian mixture is not bounded.

    Raises:
        InputError: the ends are not finite, or not in order.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InputError(
                "posterior mean: expected data in a bounded interval, "
                f"got [{self.low:g}, {self.high:g}]"
            )


BoundedMartingale = ComponentProbability | PosteriorMean
"""The martingales that are known to be bounded; the score is unbounded, as x_t is."""


def azuma_hoeffding(eps: float, widths: Sequence[float], of: object) -> float:
    """P(max_i |M_i - M_0| >= eps) <= 2 exp(-2 eps^2 / sum c_i^2) on a grid, c_i = ``widths``.

    The i-th increment must lie, given the past, in an interval of width c_i, which is at most
    high - low. For the mean of n independent copies of a martingale, revealed one after the other,
    every width is divided by n.

    The reverse kernel is positive everywhere, so that c_i is the full range of the martingale as a
    function of x at the i-th time, however fine the grid is: more steps make the bound weaker.

    Args:
        eps: the deviation.
        widths: c_i.
        of: the martingale, a ``BoundedMartingale``.

    Raises:
        InputError: the martingale is not known to be bounded, or the widths are none, not positive,
            or larger than its range.
    """
    if not isinstance(of, BoundedMartingale):
        raise InputError(
            "Azuma-Hoeffding: expected a martingale that is known to be bounded, "
            f"ComponentProbability or PosteriorMean, got {of!r}"
        )
    span = of.high - of.low
    if len(widths) == 0 or not all(0 < c <= span for c in widths):
        raise InputError(
            f"Azuma-Hoeffding for {of}: expected widths in (0, {span:g}], got {list(widths)}"
        )
    return min(1.0, 2 * math.exp(-2 * _positive(eps) ** 2 / sum(c**2 for c in widths)))


def _positive(value: float) -> float:
    if not value > 0:
        raise InputError(f"expected a positive number, got {value:g}")
    return value
