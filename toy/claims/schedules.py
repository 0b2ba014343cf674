"""Schedules agree with their own derivatives, inverses and transitions; targets with each other."""

from collections.abc import Callable

import torch
from torch import Tensor

from theory.diffusion.schedules import Schedule, VPLinear
from theory.diffusion.targets import NOISE, VELOCITY, Target, convert, shift_factor
from toy.judge.claim import ExactClaim, Mutant
from toy.mixtures.diffusion import as_time
from toy.strategies import mixtures as strategies
from toy.strategies.mixtures import ConversionCase, TimePair

Function = Callable[[Schedule, Tensor], Tensor]


def derivative_error(
    pair: TimePair,
    drift: Function = lambda schedule, t: schedule.drift(t),
    diffusion_sq: Function = lambda schedule, t: schedule.diffusion_sq(t),
    d_log_snr: Function = lambda schedule, t: schedule.d_log_snr(t),
) -> float:
    """alpha', sigma', f, g^2 and lambda' of the schedule against automatic differentiation, at t.

    f = alpha'/alpha, lambda' = 2 (alpha'/alpha - sigma'/sigma), g^2 = -sigma^2 lambda'. What is
    below a millionth of the scale and its rate lambda' may have lost that many digits.
    """
    schedule, t = pair.schedule, as_time(pair.t)
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
    return max(
        _relative(value, exact, 1e-6 * (scale * d_lambda).abs()) for value, exact, scale in compared
    )


def _slope(value: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    t = t.clone().requires_grad_()
    (slope,) = torch.autograd.grad(value(t) + 0 * t, t)
    return slope


def log_snr_error(
    pair: TimePair, log_snr: Function = lambda schedule, t: schedule.log_snr(t)
) -> float:
    """log_snr(t) = 2 log(alpha/sigma), relative to 1 + |lambda|."""
    t = torch.tensor([pair.s, pair.t], dtype=torch.float64)
    exact = _log_ratio(pair.schedule, t)
    return ((log_snr(pair.schedule, t) - exact).abs() / (1 + exact.abs())).max().item()


def _log_ratio(schedule: Schedule, t: Tensor) -> Tensor:
    return 2 * (torch.log(schedule.alpha(t)) - torch.log(schedule.sigma(t)))


def inverse_error(
    pair: TimePair, log_snr: Function = lambda schedule, t: schedule.log_snr(t)
) -> float:
    """time_of(log_snr(t)) = t, measured in log-SNR."""
    schedule = pair.schedule
    times = torch.tensor([pair.s, pair.t], dtype=torch.float64)
    back = schedule.time_of(log_snr(schedule, times))
    return (schedule.log_snr(back) - schedule.log_snr(times)).abs().max().item()


Transition = Callable[[Schedule, Tensor, Tensor], tuple[Tensor, Tensor]]


def composition_error(
    pair: TimePair,
    power: int = 2,
    transition: Transition = lambda schedule, s, t: schedule.transition(s, t),
) -> float:
    """A = alpha_t/alpha_s, V = sigma_t^2 (1 - SNR_t/SNR_s), and transitions s -> r -> t compose.

    V_st = V_rt + A_rt^2 V_sr, at the r midway in log-SNR.
    """
    schedule = pair.schedule
    s, t = as_time(pair.s), as_time(pair.t)
    r = schedule.time_of((schedule.log_snr(s) + schedule.log_snr(t)) / 2)
    (a_sr, v_sr), (a_rt, v_rt) = transition(schedule, s, r), transition(schedule, r, t)
    a_st, v_st = transition(schedule, s, t)
    fallen = torch.expm1(_log_ratio(schedule, t) - _log_ratio(schedule, s))
    return max(
        _relative(a_st, schedule.alpha(t) / schedule.alpha(s)),
        _relative(v_st, -(schedule.sigma(t) ** 2) * fallen),
        _relative(a_sr * a_rt, a_st),
        _relative(v_rt + a_rt**power * v_sr, v_st),
    )


def round_trip_error(case: ConversionCase, source_value: Target | None = None) -> float:
    """Converting y = A x_0 + B e to another target gives that target's own value."""
    schedule, t = case.schedule, as_time(case.t)
    x_0, e = as_time(case.x_0), as_time(case.e)
    x_t = schedule.alpha(t) * x_0 + schedule.sigma(t) * e
    y = (source_value or case.source).value(schedule, t, x_0, e)
    got = convert(y, x_t, t, case.source, case.to, schedule)
    expected = case.to.value(schedule, t, x_0, e)
    return ((got - expected).abs() / _conversion_scale(case, y, x_t)).item()


def commutation_error(case: ConversionCase, factor: Callable[..., Tensor] = shift_factor) -> float:
    """convert(y - eta) = convert(y) - eta det_to/det_source."""
    schedule, t = case.schedule, as_time(case.t)
    x_t, eta = as_time(case.x_0), as_time(case.eta)
    y = case.source.value(schedule, t, x_t, as_time(case.e))
    before = convert(y - eta, x_t, t, case.source, case.to, schedule)
    after = convert(y, x_t, t, case.source, case.to, schedule)
    after = after - eta * factor(t, case.source, case.to, schedule)
    return ((before - after).abs() / _conversion_scale(case, y.abs() + eta.abs(), x_t)).item()


def _conversion_scale(case: ConversionCase, y: Tensor, x_t: Tensor) -> Tensor:
    """Size of the terms that the 2x2 solve adds up: what rounding is relative to."""
    schedule, t = case.schedule, as_time(case.t)
    a, b = (c.abs() for c in case.source.coefficients(schedule, t))
    to_a, to_b = (c.abs() for c in case.to.coefficients(schedule, t))
    alpha_t, sigma_t = schedule.alpha(t), schedule.sigma(t)
    x_0 = b * x_t.abs() + sigma_t * y.abs()
    e = alpha_t * y.abs() + a * x_t.abs()
    return (to_a * x_0 + to_b * e) / case.source.determinant(schedule, t).abs() + 1e-300


def _relative(value: Tensor, expected: Tensor, least: Tensor | float = 1e-300) -> float:
    """Relative to the larger of the two, if it is above the least scale."""
    scale = torch.maximum(value.abs(), expected.abs()).clamp(min=least)
    return ((value - expected).abs() / scale.clamp(min=1e-300)).item()


def _noise_variance(schedule: Schedule, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    return schedule.transition(s, t)[0], schedule.sigma(t) ** 2


_VELOCITY_SIGN = Target("velocity", lambda schedule, t: (schedule.sigma(t), schedule.alpha(t)))

PAIRS = strategies.times()
CONVERSIONS = strategies.conversion_cases()
FROM_VELOCITY = ConversionCase(VPLinear(), 0.5, VELOCITY, NOISE, x_0=1.0, e=0.0, eta=1.0)

CLAIMS = (
    ExactClaim(
        "derivatives", "0", "f = d log alpha/dt, g^2 = -sigma^2 d lambda/dt, and d lambda/dt", PAIRS,
        derivative_error,
        (
            Mutant("g-for-g-squared", lambda p: derivative_error(
                p, diffusion_sq=lambda schedule, t: schedule.diffusion_sq(t).sqrt())),
            Mutant("missing-drift-term", lambda p: derivative_error(
                p, diffusion_sq=lambda schedule, t: 2 * schedule.sigma(t) * schedule.d_sigma(t))),
            Mutant("drift-of-alpha", lambda p: derivative_error(
                p, drift=lambda schedule, t: schedule.d_alpha(t))),
            Mutant("half-the-slope", lambda p: derivative_error(
                p, d_log_snr=lambda schedule, t: schedule.d_log_snr(t) / 2)),
        ),
    ),
    ExactClaim(
        "log-snr", "0", "log_snr = 2 log(alpha/sigma)", PAIRS, log_snr_error,
        (Mutant("ratio-not-squared", lambda p: log_snr_error(
            p, lambda schedule, t: schedule.log_snr(t) / 2)),),
    ),
    ExactClaim(
        "inverse", "0", "time_of inverts log_snr", PAIRS, inverse_error,
        (Mutant("half-log-snr", lambda p: inverse_error(
            p, lambda schedule, t: schedule.log_snr(t) / 2)),),
    ),
    ExactClaim(
        "transitions", "0", "A = alpha_t/alpha_s, V = sigma_t^2 - A^2 sigma_s^2, and they compose",
        PAIRS, composition_error,
        (
            Mutant("A-for-A-squared", lambda p: composition_error(p, power=1)),
            Mutant("variance-of-the-noise", lambda p: composition_error(
                p, transition=_noise_variance)),
        ),
    ),
    ExactClaim(
        "conversion", "4", "converting a target gives the other's value", CONVERSIONS,
        round_trip_error,
        (Mutant("velocity-sign", lambda c: round_trip_error(
            c, _VELOCITY_SIGN if c.source is VELOCITY else None)),),
        always=(FROM_VELOCITY,),
    ),
    ExactClaim(
        "commutation", "4", "calibrating commutes with converting", CONVERSIONS,
        commutation_error,
        (Mutant("unscaled-shift", lambda c: commutation_error(
            c, lambda t, *_: torch.ones_like(t))),),
        always=(FROM_VELOCITY,),
    ),
)  # fmt: skip
