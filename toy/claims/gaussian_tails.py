"""The tails of one Gaussian, known in closed form, against their bounds, and how tight these are."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from theory.bounds.concentration import doob, quadratic_variation_tail, variance_proxy, ville
from theory.bounds.gaussian_tails import (
    absolute_moment,
    absolute_supremum_tail,
    clock,
    clock_between,
    log_supremum_tail,
    translation_tail,
)
from theory.diffusion.schedules import RectifiedFlow
from toy.judge.claim import exact_claim
from toy.numerics.relative_errors import largest
from toy.strategies.gaussians import GAUSSIAN_TAIL_CASES, GaussianTailCase
from toy.strategies.time_pairs import TimePair

ORDERS = (1.0, 2.0, 4.0)


def clock_error(
    case: GaussianTailCase,
    proxy: Callable[[GaussianTailCase], float] = lambda c: variance_proxy(
        c.times.schedule, c.variance, 0.0, c.times.s, c.times.t
    ),
) -> float:
    """The variance proxy at diameter 0 against Var(M_s|x_t) of the exact reverse kernel."""
    diffusion, s, t = case.diffusion, case.times.s, case.times.t
    kernel = diffusion.reverse_kernel(torch.zeros(1, dtype=torch.float64), s, t)
    slope = diffusion.scales(s)[0] / diffusion.marginal(s).variances
    exact = (slope**2 * kernel.variances).item()
    return abs(proxy(case) - exact) / exact


def gaussian_tail_error(
    case: GaussianTailCase, scale: float = 1.0, reflection: float = 2.0
) -> float:
    """By how far the logarithm of P(sup(M_r - M_t) >= z sqrt(V)) lies outside two bounds.

    The upper bound is exp(-z^2/2), with V multiplied by ``scale``. Mills' ratio gives
    exp(-z^2/2) <= P sqrt(2 pi) (z + sqrt(z^2 + 4))/4 (Birnbaum 1942), which bounds P from below.
    """
    variance, z = _clock_between(case), case.deviations
    eps = z * math.sqrt(variance)
    exact = log_supremum_tail(eps, variance) + math.log(reflection / 2)
    bound = math.log(quadratic_variation_tail(eps, scale * variance))
    looseness = math.log(math.sqrt(2 * math.pi) * (z + math.sqrt(z**2 + 4)) / 4)
    return largest([exact - bound, bound - exact - looseness, 0.0])


def doob_error(
    case: GaussianTailCase,
    bound: Callable[[float, float, float], float] = doob,
    moment_at: Callable[[GaussianTailCase], float] = lambda c: c.times.s,
) -> float:
    """By how much P(sup|M_r| >= eps) exceeds Doob's bound, p = 1, 2 and 4, relative to the bound."""
    schedule, v, s, t = case.times.schedule, case.variance, case.times.s, case.times.t
    eps = case.deviations * math.sqrt(clock(schedule, v, s))
    exact = absolute_supremum_tail(eps, clock(schedule, v, t), _clock_between(case))
    variance = clock(schedule, v, moment_at(case))
    bounds = (bound(eps, absolute_moment(variance, p), p) for p in ORDERS)
    return largest([0.0, *(exact / b - 1 for b in bounds)])


def ville_error(case: GaussianTailCase, bound: Callable[[float], float] = ville) -> float:
    """By how much P(sup L_r(h)/L_t(h) >= b | x_t) exceeds 1/b, at b = exp(z) and h = z/sqrt(V)."""
    threshold, variance = math.exp(case.deviations), _clock_between(case)
    exact = translation_tail(threshold, case.deviations / math.sqrt(variance), variance)
    return largest([0.0, exact / bound(threshold) - 1])


def _clock_between(case: GaussianTailCase) -> float:
    return clock_between(case.times.schedule, case.variance, case.times.s, case.times.t)


def without_power(eps: float, moment: float, p: float) -> float:
    """Doob's bound with the mistake of eps for eps^p."""
    return doob(eps, moment, 1.0)


FAR_DOWN = GaussianTailCase(TimePair(RectifiedFlow(), 0.05, 0.95), variance=100.0, deviations=1.0)
"""Wide data, hence small scores, from almost pure noise to almost none."""

CLAIMS = (
    exact_claim(
        "gaussian-clock", "2", "V = alpha_s^2/c_s - alpha_t^2/c_t for one Gaussian",
        GAUSSIAN_TAIL_CASES, clock_error,
        proxy={
            "clock-from-zero": lambda c: clock(c.times.schedule, c.variance, c.times.s),
            "noise-for-marginal-variance": lambda c: _clock_between(replace(c, variance=0.0)),
        },
    ),
    exact_claim(
        "gaussian-tail", "2", "exp(-eps^2/(2V)) bounds one Gaussian's tail, and how tightly",
        GAUSSIAN_TAIL_CASES, gaussian_tail_error,
        scale={"half-the-variance": 0.5, "twice-the-variance": 2.0},
        reflection={"no-reflection": 1.0},
    ),
    exact_claim(
        "gaussian-doob", "2", "P(sup|M_r| >= eps) <= E|M_s|^p/eps^p, p = 1, 2, 4",
        GAUSSIAN_TAIL_CASES, doob_error, moment_at={"doob-at-t": lambda c: c.times.t},
        bound={"doob-without-power": without_power}, always=(FAR_DOWN,),
    ),
    exact_claim(
        "gaussian-ville", "9", "P(sup L_r(h) >= b L_t(h)) <= 1/b for one Gaussian",
        GAUSSIAN_TAIL_CASES, ville_error, bound={"ville-squared": lambda b: ville(b**2)},
    ),
)  # fmt: skip
