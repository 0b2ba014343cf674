"""The likelihood bound, and by how much a calibration lowers it.

In noise form KL(q_0 | p_0) <= 0.5 int E|e_theta - E[e|x_t]|^2 |d lambda| + KL(q_T | p_T), over
decreasing lambda = log SNR (Song et al. 2021, theorem 1). A constant shift lowers the integrand by
its gain 2 eta_hat.eta - |eta_hat|^2, which is |eta|^2 for the exact shift. What falls is an upper
bound of the divergence; the divergence itself may or may not fall.
"""

import math

import torch
from jaxtyping import Float64, Real
from torch import Tensor

from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import NOISE, Target, shift_factor
from theory.statistics.intervals import Estimate
from theory.support.errors import InputError


def bound_weights(schedule: Schedule, times: Real[Tensor, "n"]) -> Float64[Tensor, "n"]:
    """Weights w of the trapezoid rule 0.5 int h |d lambda| ~ sum_t w_t h_t, h a squared noise error.

    The integral runs from the first to the last of the times, which may be in any order; nothing is
    extrapolated. A single time has weight zero.
    """
    log_snr = schedule.log_snr(times)
    order = torch.argsort(log_snr)
    gaps = torch.diff(log_snr[order])
    ordered = torch.zeros_like(log_snr)
    ordered[1:] += gaps / 4
    ordered[:-1] += gaps / 4
    weights = torch.empty_like(ordered)
    weights[order] = ordered
    return weights


def gain_weights(
    schedule: Schedule, target: Target, times: Real[Tensor, "n"]
) -> Float64[Tensor, "n"]:
    """How much a gain of one, in the target's squared error at each time, lowers the bound, in nats.

    It is ``bound_weights`` over the times of finite log-SNR, times the squared ``shift_factor`` from
    the target to noise. Times of infinite log-SNR have weight zero.
    """
    finite = schedule.log_snr(times).isfinite()
    weights = torch.zeros(len(times), dtype=torch.float64)
    if finite.any():
        inside = times[finite]
        factor = shift_factor(inside, target, NOISE, schedule)
        weights[finite] = bound_weights(schedule, inside) * factor**2
    return weights


def step_weight(
    schedule: Schedule, s: Real[Tensor, "*time"], t: Real[Tensor, "*time"]
) -> Float64[Tensor, "*time"]:
    """0.5 (SNR_s / SNR_t - 1): weight of a squared noise error at t in the step from t to s < t.

    The weighted error is the KL of two reverse steps of the same variance (Kingma et al.,
    "Variational Diffusion Models", 2021).
    """
    return torch.expm1(schedule.log_snr(s) - schedule.log_snr(t)) / 2


def solver_weights(
    schedule: Schedule, target: Target, times: Real[Tensor, "n"]
) -> Float64[Tensor, "n"]:
    """How much a gain of one at each of a solver's times lowers its discrete bound, in nats.

    It is ``step_weight`` times the squared ``shift_factor`` from the target to noise, for a solver
    that steps from each time to the next cleaner one. The step from the cleanest time is taken to be
    as long, in log-SNR, as the one before. Times of infinite log-SNR have weight zero.

    Raises:
        InputError: fewer than two times of finite log-SNR.
    """
    log_snr = schedule.log_snr(times)
    order = torch.argsort(log_snr)
    order = order[log_snr[order].isfinite()]
    if len(order) < 2:
        raise InputError(f"solver times: expected at least two, got {len(order)}")
    gaps = torch.diff(log_snr[order])
    steps = torch.expm1(torch.cat([gaps, gaps[-1:]])) / 2
    weights = torch.zeros(len(times), dtype=torch.float64)
    weights[order] = steps * shift_factor(times[order], target, NOISE, schedule) ** 2
    return weights


def bits_per_dim(nats: Estimate, dimensions: int) -> Estimate:
    """Nats of one image as bits per dimension: nats / (d ln 2)."""
    scale = dimensions * math.log(2)
    return Estimate(nats.value / scale, nats.lower / scale, nats.upper / scale)


def discrete_bound(
    schedule: Schedule, times: Real[Tensor, "n"], errors: Float64[Tensor, "n"]
) -> Float64[Tensor, ""]:
    """sum over steps t -> s of 0.5 (SNR_s/SNR_t - 1) h_t, for squared noise errors h at the times.

    The times increase; the error at the first is not used, as no step starts there. On finer grids
    the sum tends to 0.5 int h |d lambda|, with an error of first order in the step.
    """
    return step_weight(schedule, times[:-1], times[1:]) @ errors[1:]
