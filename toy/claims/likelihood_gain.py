"""The nats that a calibration takes off the likelihood bound, and the discrete bound for mixtures.

A constant calibration lowers J_SM by 0.5 int g^2 |E s_theta|^2 dt = 0.5 int |E e_theta|^2 |d lambda|,
which ``gain_weights`` sums over times, for any target. Over a single step it lowers the discrete bound
by 0.5 (SNR_s/SNR_t - 1) |eta|^2. Whether a divergence falls as well is another question:
``toy.figures.calibrated_likelihood``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from theory.diffusion.likelihood_bound import (
    bits_per_dim,
    bound_weights,
    discrete_bound,
    gain_weights,
    step_weight,
)
from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import NOISE, Target, convert, data_and_noise, shift_factor
from theory.statistics.intervals import Estimate
from toy.claims.likelihood import (
    DiscreteBound,
    earlier_error,
    log_snr_steps,
    refinement_error,
    without_half,
)
from toy.claims.likelihood_whole import Weight, half_diffusion_sq, sigma_for_sigma_squared
from toy.judge.claim import exact_claim
from toy.mixtures.mixture import GaussianMixture, float64
from toy.numerics.gauss_rules import extrapolated
from toy.numerics.marginals_over_time import MarginalsOverTime, log_snr_panels
from toy.numerics.quadrature import expectation
from toy.numerics.relative_errors import largest
from toy.strategies.likelihood import (
    BITS_CASES,
    CALIBRATION_GAIN_CASES,
    LIKELIHOOD_CASES,
    BitsCase,
    CalibrationGainCase,
    LikelihoodCase,
)
from toy.strategies.planted_errors import PLANTED_ERROR_CASES, PlantedErrorCase

GainWeights = Callable[[Schedule, Target, Tensor], Tensor]
"""From a schedule, a target and times (T,) to the weights of |eta|^2 in the gain, (T,)."""


@dataclass(frozen=True)
class ShiftOverTime:
    """eta of a target over times, in closed form; without ``known``, the data's mean is forgotten."""

    case: CalibrationGainCase
    known: bool = True

    def __call__(self, times: Tensor) -> Tensor:
        """E[y_theta] - A E[x_0], (T,)."""
        whole, target = self.case.whole, self.case.target
        schedule, mean = whole.times.schedule, whole.diffusion.data.mean().item()
        noise = -schedule.sigma(times) * whole.model.mean_score(mean, times)
        data = mean - schedule.sigma(times) / schedule.alpha(times) * noise
        at_mean = mean if self.known else 0.0
        return target.value(schedule, times, data - at_mean, noise)


def calibration_gain_error(
    case: CalibrationGainCase,
    gain: GainWeights = gain_weights,
    in_time: Weight = half_diffusion_sq,
    known_mean: bool = True,
) -> float:
    """The fall of J_SM by a calibration against 0.5 int g^2 |E s|^2 dt and against its sums.

    J_SM is by quadrature before and after; the sums of ``gain_weights`` are over 8, 16, ... 512 steps,
    and extrapolated.
    """
    pair, eta = case.whole.times, ShiftOverTime(case, known_mean)
    before, after = score_matching(eta)
    times, weights = log_snr_panels(pair.schedule, pair.s, pair.t)
    mean_score = case.whole.model.mean_score(case.whole.diffusion.data.mean().item(), times)
    rate = in_time(pair.schedule, times) / pair.schedule.d_log_snr(times).abs()
    by_time = (weights @ (rate * mean_score**2)).item()
    by_sum = extrapolated(_sums(case, eta, gain), base=4.0)
    fall = before - after
    return largest([abs(fall - by_time), abs(fall - by_sum)]) / (1 + before)


@lru_cache(maxsize=4096)
def score_matching(eta: ShiftOverTime) -> tuple[float, float]:
    """J_SM = 0.5 int E|e_theta - E[e|x_t]|^2 |d lambda| before and after the shift.

    The prediction y_theta is shifted by eta_t, and then converted to noise.
    """
    whole, target, pair = eta.case.whole, eta.case.target, eta.case.whole.times
    times, weights = log_snr_panels(pair.schedule, pair.s, pair.t)
    marginals = MarginalsOverTime.of(whole.diffusion, times)
    x, density = marginals.points()
    sigma = pair.schedule.sigma(times)[:, None]
    noise, exact = -sigma * whole.model.score(x, times[:, None]), -sigma * marginals.score(x)
    data = (x - sigma * noise) / pair.schedule.alpha(times)[:, None]
    y = target.value(pair.schedule, times, data, noise)
    calibrated = convert(y - eta(times)[:, None], x, times, target, NOISE, pair.schedule)
    squares = torch.stack([(noise - exact) ** 2, (calibrated - exact) ** 2])
    before, after = ((squares * density).sum(-1) @ weights / 2).tolist()
    return before, after


def _sums(
    case: CalibrationGainCase, eta: Callable[[Tensor], Tensor], gain: GainWeights
) -> list[float]:
    """The trapezoid rule's sums over 8, 16, ... steps, evenly in log-SNR."""
    pair = case.whole.times
    ends = float64([pair.s, pair.t])
    high, low = pair.schedule.log_snr(ends).tolist()
    sums = []
    for n in (8 * 2**k for k in range(7)):
        times = pair.schedule.time_of(torch.linspace(high, low, n + 1, dtype=torch.float64))
        sums.append((gain(pair.schedule, case.target, times) @ eta(times) ** 2).item())
    return sums


def step_error(
    case: PlantedErrorCase,
    weight: Callable[[Schedule, Tensor, Tensor], Tensor] = step_weight,
    to_noise: Callable[[Tensor, Target, Target, Schedule], Tensor] = shift_factor,
) -> float:
    """E KL from the exact step from t to s to the model's falls by weight |eta|^2, if it is shifted.

    Both steps are N(A sigma_s^2/sigma_t^2 x_t + alpha_s V/sigma_t^2 x_0, V sigma_s^2/sigma_t^2), for
    the x_0 of the prediction; the first part of both means is left out, as its rounding is large.
    Relative to the divergences and to the weight.
    """
    model, s, t = case.model(), float64(case.times.s), float64(case.times.t)
    schedule, eta = model.diffusion.schedule, model.eta(case.times.t)
    _, v = schedule.transition(s, t)
    share = schedule.alpha(s) * v / schedule.sigma(t) ** 2
    deviation = v.sqrt() * schedule.sigma(s) / schedule.sigma(t)

    def step(x: Tensor, y: Tensor) -> Normal:
        """The law of a step with prediction y at x."""
        x_0, _ = data_and_noise(y, x, t, model.target, schedule)
        return Normal(share * x_0, deviation)

    def divergences(x: Tensor) -> Tensor:
        """From the exact step to the model's, before and after the shift."""
        y, exact = model.at(x, case.times.t), step(x, model.exact(x, case.times.t))
        return torch.cat([kl_divergence(exact, step(x, z)) for z in (y, y - eta)], 1)

    law, unit = model.diffusion.marginal(case.times.t), step_weight(schedule, s, t).item()
    integral = expectation(law, divergences, scale=1 / (2 * model.frequency), size=unit)
    before, after = integral.value.tolist()
    shift = to_noise(t, model.target, NOISE, schedule) * eta
    fall = (weight(schedule, s, t) * shift**2).item()
    return abs(before - after - fall) / (before + after + unit)


def bits_error(case: BitsCase, bits: Callable[[Estimate, int], Estimate] = bits_per_dim) -> float:
    """KL of independent copies in nats, as bits per dimension, against one copy's E[log2 q - log2 p]."""

    def copies(law: tuple[float, float]) -> Independent:
        """All dimensions of an image."""
        mean, deviation = float64(law).expand(case.dimensions, 2).unbind(1)
        return Independent(Normal(mean, deviation), 1)

    def one_copy(law: tuple[float, float]) -> GaussianMixture:
        """One dimension of it."""
        mean, deviation = float64(law)
        return GaussianMixture.diagonal(torch.ones(1), mean.reshape(1, 1), deviation[None] ** 2)

    nats = kl_divergence(copies(case.data), copies(case.model)).item()
    per_dimension = bits(Estimate(nats, nats / 2, 2 * nats), case.dimensions)
    q, p = one_copy(case.data), one_copy(case.model)

    def binary(x: Tensor) -> Tensor:
        """log2 q/p, beside a one that the sums settle relative to."""
        ratio = (q.log_density(x).exp() / p.log_density(x).exp()).log2()
        return torch.stack([ratio, torch.ones_like(ratio)], 1)

    one = expectation(q, binary).value[0].item()
    ends = (per_dimension.value, 2 * per_dimension.lower, per_dimension.upper / 2)
    return largest(abs(end - one) for end in ends) / (1 + one)


def mixture_noise_error(case: LikelihoodCase, times: Tensor) -> Tensor:
    """E|e_theta - E[e|x_t]|^2 for all the components of the data, at times (n,)."""
    marginals = MarginalsOverTime.of(case.diffusion, times)
    x, density = marginals.points()
    error = case.model.score(x, times[:, None]) - marginals.score(x)
    return case.times.schedule.sigma(times) ** 2 * (density * error**2).sum(1)


def mixture_refinement_error(case: LikelihoodCase, bound: DiscreteBound = discrete_bound) -> float:
    """``refinement_error`` for mixtures, over up to 256 steps."""
    return refinement_error(case, bound, mixture_noise_error, doublings=6)


def _factor_not_squared(schedule: Schedule, target: Target, times: Tensor) -> Tensor:
    factor = shift_factor(times, target, NOISE, schedule)
    return gain_weights(schedule, target, times) / factor.abs()


def _snr_ratio(schedule: Schedule, s: Tensor, t: Tensor) -> Tensor:
    return torch.exp(schedule.log_snr(s) - schedule.log_snr(t)) / 2


CLAIMS = (
    exact_claim(
        "calibration-nats", "5", "J_SM falls by 0.5 int |E e_theta|^2 |d lambda|, every target",
        CALIBRATION_GAIN_CASES, calibration_gain_error,
        gain={
            "nats-without-half": lambda *of: 2 * gain_weights(*of),
            "nats-of-any-target": lambda schedule, _, times: bound_weights(schedule, times),
            "factor-not-squared": _factor_not_squared,
        },
        in_time={"nats-sigma-for-sigma-squared": sigma_for_sigma_squared},
        known_mean={"nats-data-mean-forgotten": False}, share=0.3,
    ),
    exact_claim(
        "step-nats", "5",
        "a step's divergence falls by 0.5 (SNR_s/SNR_t - 1) |eta|^2, every target",
        PLANTED_ERROR_CASES, step_error,
        weight={
            "step-ratio-inverted": lambda schedule, s, t: -step_weight(schedule, t, s),
            "step-without-minus-one": _snr_ratio,
        },
        to_noise={"step-of-any-target": lambda t, *of: torch.ones_like(t)},
    ),
    exact_claim(
        "bits-per-dim", "5", "nats/(d ln 2) are bits per dimension", BITS_CASES, bits_error,
        bits={
            "natural-logarithm": lambda nats, d: Estimate(
                *(x / d for x in (nats.value, nats.lower, nats.upper))),
            "bits-per-image": lambda nats, d: bits_per_dim(nats, 1),
            "lower-end-in-nats": lambda nats, d: replace(bits_per_dim(nats, d), lower=nats.lower),
            "upper-end-in-nats": lambda nats, d: replace(bits_per_dim(nats, d), upper=nats.upper),
        },
    ),
    exact_claim(
        "discrete-bound-mixture", "5",
        "for a mixture, the discrete bound tends to the continuous one, at first order",
        LIKELIHOOD_CASES, mixture_refinement_error,
        bound={
            "mixture-step-without-half": without_half, "mixture-continuous-weight": log_snr_steps,
            "mixture-error-at-s": earlier_error,
        },
        share=0.25,
    ),
)  # fmt: skip
