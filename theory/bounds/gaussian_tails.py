"""Tails for one Gaussian, known in closed form: they show how tight the bounds are.

For data N(m, v) on the line, M_r = -alpha (x_r - alpha m)/c with c = alpha^2 v + sigma^2 is Brownian
motion on the clock tau = alpha^2/c, which grows as the reverse process runs from t down to s, from
M_t ~ N(0, tau_t). Given x_t, with V = tau_s - tau_t:

    P(sup (M_r - M_t) >= eps)  = 2 P(N(0, V) >= eps)                  (reflection),
    P(sup L_r(h)/L_t(h) >= b)  with log L_r(h) = -h M_r - h^2 tau/2   (Brownian motion with drift),
    P(sup |M_r| >= eps)        by images between two barriers, averaged over M_t.

All are probabilities over the continuous path. Borodin & Salminen, "Handbook of Brownian Motion",
part II, sections 1.1 and 2.1.
"""

import math

import numpy as np
import torch
from jaxtyping import Float64
from scipy.integrate import quad
from scipy.special import log_ndtr, ndtr
from torch import Tensor

from theory.diffusion.schedules import Schedule

IMAGES_REACH = 9.0
"""Standard deviations of the path that the images in the barriers must cover."""


def clock(schedule: Schedule, v: float, t: float) -> float:
    """tau_t = alpha^2/c, the variance of M_t."""
    return clocks(schedule, v, _time(t)).item()


def clocks(
    schedule: Schedule, v: float, times: Float64[Tensor, "*time"]
) -> Float64[Tensor, "*time"]:
    """``clock`` at many times."""
    alpha_sq, sigma_sq = schedule.alpha(times) ** 2, schedule.sigma(times) ** 2
    return alpha_sq / (alpha_sq * v + sigma_sq)


def clock_between(schedule: Schedule, v: float, s: float, t: float) -> float:
    """Var(M_s | x_t) = tau_s - tau_t, computed without cancellation as alpha_s^2 V_st/(c_s c_t)."""
    _, noise = schedule.transition(_time(s), _time(t))
    (alpha_s, sigma_s), (alpha_t, sigma_t) = _scales(schedule, s), _scales(schedule, t)
    c_s, c_t = alpha_s**2 * v + sigma_s**2, alpha_t**2 * v + sigma_t**2
    return alpha_s**2 * noise.item() / (c_s * c_t)


def log_supremum_tail(eps: float, variance: float) -> float:
    """log P(sup (M_r - M_t) >= eps | x_t) = log 2 + log P(N(0, V) >= eps), at most 0."""
    return math.log(2) + float(log_ndtr(-eps / math.sqrt(variance)))


def translation_tail(threshold: float, h: float, variance: float) -> float:
    """P(sup_r L_r(h)/L_t(h) >= threshold | x_t), threshold >= 1; it tends to 1/threshold for large V."""
    level, deviation = math.log(threshold), abs(h) * math.sqrt(variance)
    drift = deviation / 2
    first = ndtr(-level / deviation - drift)
    return float(first + math.exp(-level + log_ndtr(-level / deviation + drift)))


def absolute_supremum_tail(eps: float, start: float, variance: float) -> float:
    """P(sup |M_r| >= eps) for M_t ~ N(0, start) and V = ``variance``, the rest of the clock."""
    deviation = math.sqrt(start)
    reach = min(eps, IMAGES_REACH * deviation)

    def stays(b: float) -> float:
        """The density of M_t = b, times the probability that |M| stays below eps from there."""
        density = math.exp(-(b**2) / (2 * start)) / math.sqrt(2 * math.pi * start)
        return density * _stays_inside(eps, b, variance)

    inside, _ = quad(stays, -reach, reach, epsabs=1e-13, epsrel=1e-10, limit=200)
    return 1 - inside


def _stays_inside(eps: float, b: float, variance: float) -> float:
    """P(|b + B_u| < eps for all u <= V), by the images of b in the two barriers."""
    deviation = math.sqrt(variance)
    count = math.ceil(IMAGES_REACH * deviation / (2 * eps)) + 1
    k = np.arange(-count, count + 1)
    images = 2 * eps * k + np.where(k % 2 == 0, b, -b)
    mass = ndtr((eps - images) / deviation) - ndtr((-eps - images) / deviation)
    return float(np.sum(np.where(k % 2 == 0, mass, -mass)))


def absolute_moment(variance: float, p: float) -> float:
    """E|N(0, variance)|^p = (2 variance)^(p/2) Gamma((p + 1)/2)/sqrt(pi)."""
    return (2 * variance) ** (p / 2) * math.gamma((p + 1) / 2) / math.sqrt(math.pi)


def _time(t: float) -> Tensor:
    return torch.tensor(t, dtype=torch.float64)


def _scales(schedule: Schedule, t: float) -> tuple[float, float]:
    return schedule.alpha(_time(t)).item(), schedule.sigma(_time(t)).item()
