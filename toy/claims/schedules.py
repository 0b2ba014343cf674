"""Schedules agree with their own derivatives, inverses and transitions; targets with each other."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mpmath
import torch
from torch import Tensor

from theory.diffusion.schedules import (
    EDM,
    RectifiedFlow,
    Schedule,
    SubVP,
    VEGeometric,
    VPCosine,
    VPLinear,
)
from theory.diffusion.targets import NOISE, VELOCITY, Target, convert, shift_factor
from toy.judge.claim import exact_claim
from toy.mixtures.mixture import float64
from toy.numerics.relative_errors import elementwise_error, largest
from toy.strategies.planted_errors import ConversionCase, conversion_cases
from toy.strategies.time_pairs import TIME_PAIRS, TimePair

OfTime = Callable[[Schedule, Tensor], Tensor]
"""A function of a schedule at times (n,) or (), of the same shape."""


def derivative_error(
    pair: TimePair,
    drift: OfTime = lambda schedule, t: schedule.drift(t),
    diffusion_sq: OfTime = lambda schedule, t: schedule.diffusion_sq(t),
    d_log_snr: OfTime = lambda schedule, t: schedule.d_log_snr(t),
) -> float:
    """alpha', sigma', f, g^2 and lambda' of the schedule against automatic differentiation, at t.

    f = alpha'/alpha, lambda' = 2 (alpha'/alpha - sigma'/sigma), g^2 = -sigma^2 lambda'. Errors are
    relative to a millionth of the scale times lambda' at least, as smaller values lose digits.
    """
    schedule, t = pair.schedule, float64(pair.t)
    alpha_t, sigma_t = schedule.alpha(t), schedule.sigma(t)
    d_alpha, d_sigma = _slope(schedule.alpha, t), _slope(schedule.sigma, t)
    d_lambda = 2 * (d_alpha / alpha_t - d_sigma / sigma_t)
    compared = (
        (schedule.d_alpha(t), d_alpha, alpha_t),
        (schedule.d_sigma(t), d_sigma, sigma_t),
        (drift(schedule, t), d_alpha / alpha_t, 1.0),
        (diffusion_sq(schedule, t), -(sigma_t**2) * d_lambda, sigma_t**2),
        (d_log_snr(schedule, t), d_lambda, 1.0),
    )
    return largest(
        _of_larger(value, exact, 1e-6 * (scale * d_lambda).abs())
        for value, exact, scale in compared
    )


def _slope(value: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    t = t.clone().requires_grad_()
    (slope,) = torch.autograd.grad(value(t) + 0 * t, t)
    return slope


def log_snr_error(
    pair: TimePair,
    log_snr: OfTime = lambda schedule, t: schedule.log_snr(t),
    tried: Callable[[Schedule], Schedule] = lambda schedule: schedule,
) -> float:
    """log_snr(t) = 2 log(alpha/sigma), relative to 1 + |lambda|; by the schedule and by its definition.

    Args:
        pair: a schedule and two times.
        log_snr: of a schedule.
        tried: the schedule that takes its place, except in the definition.
    """
    t, schedule = float64([pair.s, pair.t]), tried(pair.schedule)
    value, sides = log_snr(schedule, t), [_log_ratio(schedule, t)]
    if definition := DEFINITIONS.get(type(pair.schedule)):
        with mpmath.workdps(50):
            sides.append(
                float64([float(definition(pair.schedule, mpmath.mpf(r))) for r in t.tolist()])
            )
    return largest([((value - side).abs() / (1 + side.abs())).max().item() for side in sides])


def _defined_by_beta(schedule: VPLinear | SubVP, t: Any) -> Any:
    """alpha^2 = exp(-int_0^t beta) for beta from beta_min to beta_max, sigma^2 or sigma is the rest."""
    low, high = schedule.beta_min, schedule.beta_max
    alpha_sq = mpmath.exp(-mpmath.quad(lambda r: low + r * (mpmath.mpf(high) - low), [0, t]))
    noise = (1 - alpha_sq) ** (2 if isinstance(schedule, SubVP) else 1)
    return mpmath.log(alpha_sq / noise)


def _defined_by_cosine(schedule: VPCosine, t: Any) -> Any:
    first, now = (
        mpmath.cos(mpmath.pi / 2 * (r + mpmath.mpf(schedule.offset)) / (1 + schedule.offset)) ** 2
        for r in (0, t)
    )
    return mpmath.log(now / (first - now))


def _defined_by_sigmas(schedule: VEGeometric, t: Any) -> Any:
    return -2 * ((1 - t) * mpmath.log(schedule.sigma_min) + t * mpmath.log(schedule.sigma_max))


DEFINITIONS: dict[type[Schedule], Callable[[Any, Any], Any]] = {
    VPLinear: _defined_by_beta,
    SubVP: _defined_by_beta,
    VPCosine: _defined_by_cosine,
    VEGeometric: _defined_by_sigmas,
    EDM: lambda schedule, t: -2 * mpmath.log(t),
    RectifiedFlow: lambda schedule, t: 2 * mpmath.log((1 - t) / t),
}
"""The log-SNR from what defines a schedule, from its parameters and a time, in fifty digits."""


def _log_ratio(schedule: Schedule, t: Tensor) -> Tensor:
    return 2 * (torch.log(schedule.alpha(t)) - torch.log(schedule.sigma(t)))


def inverse_error(
    pair: TimePair, log_snr: OfTime = lambda schedule, t: schedule.log_snr(t)
) -> float:
    """time_of(log_snr(t)) = t, measured in log-SNR."""
    schedule = pair.schedule
    times = float64([pair.s, pair.t])
    back = schedule.time_of(log_snr(schedule, times))
    return (schedule.log_snr(back) - schedule.log_snr(times)).abs().max().item()


def composition_error(
    pair: TimePair,
    power: int = 2,
    transition: Callable[
        [Schedule, Tensor, Tensor], tuple[Tensor, Tensor]
    ] = lambda schedule, s, t: schedule.transition(s, t),
) -> float:
    """A = alpha_t/alpha_s, V = sigma_t^2 (1 - SNR_t/SNR_s), and transitions s -> r -> t compose.

    V_st = V_rt + A_rt^2 V_sr, at the r midway in log-SNR.
    """
    schedule = pair.schedule
    s, t = float64(pair.s), float64(pair.t)
    r = schedule.time_of((schedule.log_snr(s) + schedule.log_snr(t)) / 2)
    (a_sr, v_sr), (a_rt, v_rt) = transition(schedule, s, r), transition(schedule, r, t)
    a_st, v_st = transition(schedule, s, t)
    fallen = torch.expm1(_log_ratio(schedule, t) - _log_ratio(schedule, s))
    return largest(
        [
            _of_larger(a_st, schedule.alpha(t) / schedule.alpha(s)),
            _of_larger(v_st, -(schedule.sigma(t) ** 2) * fallen),
            _of_larger(a_sr * a_rt, a_st),
            _of_larger(v_rt + a_rt**power * v_sr, v_st),
        ]
    )


def round_trip_error(case: ConversionCase, source_value: Target | None = None) -> float:
    """Converting y = A x_0 + B e to another target gives that target's own value."""
    schedule, t = case.schedule, float64(case.t)
    x_0, e = float64(case.x_0), float64(case.e)
    x_t = schedule.alpha(t) * x_0 + schedule.sigma(t) * e
    y = (source_value or case.source).value(schedule, t, x_0, e)
    got = convert(y, x_t, t, case.source, case.to, schedule)
    expected = case.to.value(schedule, t, x_0, e)
    return elementwise_error(got - expected, _conversion_scale(case, y, x_t))


def commutation_error(case: ConversionCase, factor: Callable[..., Tensor] = shift_factor) -> float:
    """convert(y - eta) = convert(y) - eta det_to/det_source."""
    schedule, t = case.schedule, float64(case.t)
    x_t, eta = float64(case.x_0), float64(case.eta)
    y = case.source.value(schedule, t, x_t, float64(case.e))
    before = convert(y - eta, x_t, t, case.source, case.to, schedule)
    after = convert(y, x_t, t, case.source, case.to, schedule)
    after = after - eta * factor(t, case.source, case.to, schedule)
    return elementwise_error(before - after, _conversion_scale(case, y.abs() + eta.abs(), x_t))


def _conversion_scale(case: ConversionCase, y: Tensor, x_t: Tensor) -> Tensor:
    """Size of the terms that the conversion adds up, to which its rounding is relative."""
    schedule, t = case.schedule, float64(case.t)
    a, b = (c.abs() for c in case.source.coefficients(schedule, t))
    to_a, to_b = (c.abs() for c in case.to.coefficients(schedule, t))
    alpha_t, sigma_t = schedule.alpha(t), schedule.sigma(t)
    x_0 = b * x_t.abs() + sigma_t * y.abs()
    e = alpha_t * y.abs() + a * x_t.abs()
    return (to_a * x_0 + to_b * e) / case.source.determinant(schedule, t).abs()


def _of_larger(value: Tensor, expected: Tensor, least: Tensor | float = 0.0) -> float:
    """|value - expected| relative to the larger of the two, and to ``least`` at least."""
    scale = torch.maximum(value.abs(), expected.abs()).clamp(min=least)
    return elementwise_error(value - expected, scale)


def _noise_variance(schedule: Schedule, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    return schedule.transition(s, t)[0], schedule.sigma(t) ** 2


def _variance_twice(schedule: Schedule, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The mistake of a factor, to which composition is blind."""
    a, v = schedule.transition(s, t)
    return a, 2 * v


_VELOCITY_SIGN = Target("velocity", lambda schedule, t: (schedule.sigma(t), schedule.alpha(t)))

CONVERSIONS = conversion_cases()
FROM_VELOCITY = ConversionCase(VPLinear(), 0.5, VELOCITY, NOISE, x_0=1.0, e=0.0, eta=1.0)


def _another(schedule: Schedule) -> Schedule:
    """The mistake of beta_max in place of its distance from beta_min, the same in alpha and sigma."""
    if isinstance(schedule, VPLinear):
        return replace(schedule, beta_max=schedule.beta_max + schedule.beta_min)
    return schedule


def _half_log_snr(schedule: Schedule, t: Tensor) -> Tensor:
    return schedule.log_snr(t) / 2


CLAIMS = (
    exact_claim(
        "derivatives", "0", "f = d log alpha/dt, g^2 = -sigma^2 d lambda/dt, and d lambda/dt",
        TIME_PAIRS, derivative_error,
        diffusion_sq={
            "g-for-g-squared": lambda schedule, t: schedule.diffusion_sq(t).sqrt(),
            "missing-drift-term": lambda schedule, t: 2 * schedule.sigma(t) * schedule.d_sigma(t),
        },
        drift={"drift-of-alpha": lambda schedule, t: schedule.d_alpha(t)},
        d_log_snr={"half-the-slope": lambda schedule, t: schedule.d_log_snr(t) / 2},
    ),
    exact_claim(
        "log-snr", "0", "log_snr = 2 log(alpha/sigma)", TIME_PAIRS, log_snr_error,
        log_snr={"ratio-not-squared": _half_log_snr}, tried={"consistent-but-another": _another},
    ),
    exact_claim(
        "inverse", "0", "time_of inverts log_snr", TIME_PAIRS, inverse_error,
        log_snr={"half-log-snr": _half_log_snr},
    ),
    exact_claim(
        "transitions", "0", "A = alpha_t/alpha_s, V = sigma_t^2 - A^2 sigma_s^2, and they compose",
        TIME_PAIRS, composition_error, power={"A-for-A-squared": 1},
        transition={"variance-of-the-noise": _noise_variance, "variance-twice": _variance_twice},
    ),
    exact_claim(
        "conversion", "4", "converting a target gives the other's value", CONVERSIONS,
        round_trip_error,
        instead={
            "velocity-sign": lambda c: round_trip_error(
                c, _VELOCITY_SIGN if c.source is VELOCITY else None),
        },
        always=(FROM_VELOCITY,),
    ),
    exact_claim(
        "commutation", "4", "calibrating commutes with converting", CONVERSIONS, commutation_error,
        factor={"unscaled-shift": lambda t, *_: torch.ones_like(t)}, always=(FROM_VELOCITY,),
    ),
)  # fmt: skip
