"""The likelihood bound from T to 0, and the nats that a calibration takes off it.

Over 10 to 14 units of log-SNR, integrals over time are composite rules of Gauss and Legendre, and
the expectations at all of their times are found at once (``toy.numerics.line_quadrature``). With p
carried by the reverse SDE of any score s_theta (``theory.proofs.likelihood``)

    KL(q_0|p_0) = KL(q_T|p_T) + J_SM - J_left,    J_left = 0.5 int g^2 E|s_theta - grad log p|^2,

so that the bound is checked as an equality. A constant calibration lowers J_SM by
0.5 int g^2 |E s_theta|^2 dt = 0.5 int |E e_theta|^2 |d lambda|, which ``gain_weights`` sums over
times, for any target; over a single step it takes 0.5 (SNR_s/SNR_t - 1) |eta|^2 off the discrete
bound. Whether a divergence follows is another matter: ``toy.figures.calibrated``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
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
from toy.claims.likelihood import Pieces, divergence, extrapolated, refinement_error
from toy.judge.claim import ExactClaim, Mutant
from toy.mixtures.diffusion import as_time
from toy.mixtures.mixture import GaussianMixture
from toy.numerics.line_quadrature import Lines
from toy.numerics.quadrature import expectation
from toy.strategies import (
    likelihood as nats_strategies,
)
from toy.strategies import (
    mixtures as strategies,
)
from toy.strategies import (
    models as model_strategies,
)
from toy.strategies.likelihood import BitsCase, NatsCase, WholeCase
from toy.strategies.mixtures import MisfitCase
from toy.strategies.models import LikelihoodCase

Weight = Callable[[Schedule, Tensor], Tensor]
Gain = Callable[[Schedule, Target, Tensor], Tensor]

PANEL = 1.0
"""Longest panel, in log-SNR."""

NODES, NODE_WEIGHTS = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(8))


def times_and_weights(schedule: Schedule, s: float, t: float) -> tuple[Tensor, Tensor]:
    """Times (T,) and weights of int h |d lambda| ~ sum w h between s and t."""
    high, low = schedule.log_snr(torch.tensor([s, t], dtype=torch.float64)).tolist()
    edges = torch.linspace(low, high, int((high - low) / PANEL) + 2, dtype=torch.float64)
    half = edges.diff()[:, None] / 2
    times = schedule.time_of((edges[:-1, None] + half * (1 + NODES)).flatten())
    return times, (half * NODE_WEIGHTS).flatten()


@dataclass(frozen=True)
class WholePieces(Pieces):
    """What the bound is above the divergence, beside the others."""

    j_left: float


def half_diffusion_sq(schedule: Schedule, times: Tensor) -> Tensor:
    """g^2/2."""
    return schedule.diffusion_sq(times) / 2


@lru_cache(maxsize=4096)
def whole_pieces(case: WholeCase, weight: Weight = half_diffusion_sq) -> WholePieces:
    """Every term from T to 0: int h dt as int h/|d lambda/dt| |d lambda|."""
    diffusion, model, (s, t) = case.diffusion, case.model, (case.times.s, case.times.t)
    schedule = diffusion.schedule
    times, by_log_snr = times_and_weights(schedule, s, t)
    lines, alpha = Lines.of(diffusion, times), schedule.alpha(times)[:, None]
    x, density = lines.points()

    def gaussian_score(moments: tuple[Tensor, Tensor]) -> Tensor:
        mean, variance = (m[:, None] for m in moments)
        return -(x - alpha * mean) / (alpha**2 * variance)

    score, own, start = lines.score(x), model.score(x, times[:, None]), as_time(t)
    error, left = own - score, own - gaussian_score(model.sde_moments(times, start))
    gap = gaussian_score(model.ode_moments(times, start)) - score
    in_time = by_log_snr / schedule.d_log_snr(times).abs() * weight(schedule, times)
    terms = torch.stack([error**2, left**2, error * gap, gap**2])
    j_sm, j_left, j_ode, j_fisher = ((terms * density).sum(-1) @ in_time).tolist()
    q_s = diffusion.marginal(s)
    return WholePieces(
        kl_sde=divergence(q_s, model.sde_law(s, t)),
        kl_ode=divergence(q_s, model.ode_law(s, t)),
        kl_prior=divergence(diffusion.marginal(t), model.prior(t)),
        j_sm=j_sm, j_left=j_left, j_ode=j_ode, j_fisher=j_fisher,
    )  # fmt: skip


def bound_error(
    case: WholeCase,
    bound: Callable[[WholePieces], float] = lambda p: p.kl_prior + p.j_sm,
    weight: Weight = half_diffusion_sq,
) -> float:
    """|KL - (bound - J_left)| relative to 1 + both: what the bound is above KL is J_left."""
    pieces = whole_pieces(case, weight)
    exact = bound(pieces) - pieces.j_left
    return abs(pieces.kl_sde - exact) / (1 + pieces.kl_sde + abs(exact))


def ode_error(case: WholeCase, excess: Callable[[WholePieces], float] = lambda p: p.j_ode) -> float:
    """|KL - KL_T - J_ODE| relative to 1 + both."""
    pieces = whole_pieces(case)
    exact = pieces.kl_prior + excess(pieces)
    return abs(pieces.kl_ode - exact) / (1 + pieces.kl_ode + abs(exact))


@dataclass(frozen=True)
class Shift:
    """eta of a target over times, in closed form; the mean of its data is forgotten if not ``known``."""

    case: NatsCase
    known: bool = True

    def __call__(self, times: Tensor) -> Tensor:
        """E[y_theta] - A E[x_0], (T,)."""
        whole, target = self.case.whole, self.case.target
        schedule, mean = whole.times.schedule, whole.diffusion.data.mean().item()
        noise = -schedule.sigma(times) * whole.model.mean_score(mean, times)
        data = mean - schedule.sigma(times) / schedule.alpha(times) * noise
        at_mean = mean if self.known else 0.0
        return target.value(schedule, times, data - at_mean, noise)


def calibration_error(
    case: NatsCase,
    gain: Gain = gain_weights,
    in_time: Weight = half_diffusion_sq,
    known_mean: bool = True,
) -> float:
    """J_SM before less J_SM after the calibration, both by quadrature, against 0.5 int g^2 |E s|^2 dt
    and against the sums of ``gain_weights`` over 8, 16, ... 512 steps, extrapolated.
    """
    pair, eta = case.whole.times, Shift(case, known_mean)
    before, after = score_matching(eta)
    times, weights = times_and_weights(pair.schedule, pair.s, pair.t)
    mean_score = case.whole.model.mean_score(case.whole.diffusion.data.mean().item(), times)
    rate = in_time(pair.schedule, times) / pair.schedule.d_log_snr(times).abs()
    by_time = (weights @ (rate * mean_score**2)).item()
    by_sum = extrapolated(_sums(case, eta, gain), base=4.0)
    fall = before - after
    return max(abs(fall - by_time), abs(fall - by_sum)) / (1 + before)


@lru_cache(maxsize=4096)
def score_matching(eta: Shift) -> tuple[float, float]:
    """J_SM = 0.5 int E|e_theta - E[e|x_t]|^2 |d lambda| before and after the shift.

    y_theta - eta_t is calibrated as the target has it, and then converted to noise.
    """
    whole, target, pair = eta.case.whole, eta.case.target, eta.case.whole.times
    times, weights = times_and_weights(pair.schedule, pair.s, pair.t)
    lines = Lines.of(whole.diffusion, times)
    x, density = lines.points()
    sigma = pair.schedule.sigma(times)[:, None]
    noise, exact = -sigma * whole.model.score(x, times[:, None]), -sigma * lines.score(x)
    data = (x - sigma * noise) / pair.schedule.alpha(times)[:, None]
    y = target.value(pair.schedule, times, data, noise)
    calibrated = convert(y - eta(times)[:, None], x, times, target, NOISE, pair.schedule)
    squares = torch.stack([(noise - exact) ** 2, (calibrated - exact) ** 2])
    before, after = ((squares * density).sum(-1) @ weights / 2).tolist()
    return before, after


def _sums(case: NatsCase, eta: Callable[[Tensor], Tensor], gain: Gain) -> list[float]:
    """The trapezoid rule's sums over twice as many steps each time, evenly in log-SNR."""
    pair = case.whole.times
    ends = torch.tensor([pair.s, pair.t], dtype=torch.float64)
    high, low = pair.schedule.log_snr(ends).tolist()
    sums = []
    for n in (8 * 2**k for k in range(7)):
        times = pair.schedule.time_of(torch.linspace(high, low, n + 1, dtype=torch.float64))
        sums.append((gain(pair.schedule, case.target, times) @ eta(times) ** 2).item())
    return sums


def step_error(
    case: MisfitCase,
    weight: Callable[[Schedule, Tensor, Tensor], Tensor] = step_weight,
    to_noise: Callable[[Tensor, Target, Target, Schedule], Tensor] = shift_factor,
) -> float:
    """E KL of the step from t to s with E[e|x_t] to that with e_theta falls by weight |eta|^2.

    Both steps are N(A sigma_s^2/sigma_t^2 x_t + alpha_s V/sigma_t^2 x_0, V sigma_s^2/sigma_t^2), of
    the x_0 that the prediction stands for; what x_t adds to both means is left out, for its rounding.
    Relative to the divergences and to the weight.
    """
    model, s, t = case.model(), as_time(case.times.s), as_time(case.times.t)
    schedule, eta = model.diffusion.schedule, model.eta(case.times.t)
    _, v = schedule.transition(s, t)
    share = schedule.alpha(s) * v / schedule.sigma(t) ** 2
    deviation = v.sqrt() * schedule.sigma(s) / schedule.sigma(t)

    def step(x: Tensor, y: Tensor) -> Normal:
        x_0, _ = data_and_noise(y, x, t, model.target, schedule)
        return Normal(share * x_0, deviation)

    def divergences(x: Tensor) -> Tensor:
        y, exact = model.at(x, case.times.t), step(x, model.exact(x, case.times.t))
        return torch.cat([kl_divergence(exact, step(x, z)) for z in (y, y - eta)], 1)

    law, unit = model.diffusion.marginal(case.times.t), step_weight(schedule, s, t).item()
    integral = expectation(law, divergences, scale=1 / (2 * model.frequency), size=unit)
    before, after = integral.value.tolist()
    shift = to_noise(t, model.target, NOISE, schedule) * eta
    fall = (weight(schedule, s, t) * shift**2).item()
    return abs(before - after - fall) / (before + after + unit)


def bits_error(case: BitsCase, bits: Callable[[Estimate, int], Estimate] = bits_per_dim) -> float:
    """KL of independent copies, in nats, as bits per dimension: one copy's E[log2 q - log2 p]."""

    def copies(law: tuple[float, float]) -> Independent:
        mean, deviation = (
            torch.tensor(law, dtype=torch.float64).expand(case.dimensions, 2).unbind(1)
        )
        return Independent(Normal(mean, deviation), 1)

    def line(law: tuple[float, float]) -> GaussianMixture:
        mean, deviation = torch.tensor(law, dtype=torch.float64)
        return GaussianMixture.diagonal(torch.ones(1), mean.reshape(1, 1), deviation[None] ** 2)

    nats = kl_divergence(copies(case.data), copies(case.model)).item()
    per_dimension = bits(Estimate(nats, nats / 2, 2 * nats), case.dimensions)
    q, p = line(case.data), line(case.model)

    def binary(x: Tensor) -> Tensor:
        ratio = (q.log_density(x).exp() / p.log_density(x).exp()).log2()
        return torch.stack([ratio, torch.ones_like(ratio)], 1)

    one = expectation(q, binary).value[0].item()
    ends = (per_dimension.value, 2 * per_dimension.lower, per_dimension.upper / 2)
    return max(abs(end - one) for end in ends) / (1 + one)


def mixture_noise_error(case: LikelihoodCase, times: Tensor) -> Tensor:
    """E|e_theta - E[e|x_t]|^2 for all the components of the data, at times (n,)."""
    lines = Lines.of(case.diffusion, times)
    x, density = lines.points()
    error = case.model.score(x, times[:, None]) - lines.score(x)
    return case.times.schedule.sigma(times) ** 2 * (density * error**2).sum(1)


def mixture_refinement_error(
    case: LikelihoodCase, bound: Callable[[Schedule, Tensor, Tensor], Tensor] = discrete_bound
) -> float:
    """``refinement_error`` for mixtures, over up to 256 steps."""
    return refinement_error(case, bound, mixture_noise_error, doublings=6)


def _sigma_for_sigma_squared(schedule: Schedule, times: Tensor) -> Tensor:
    return half_diffusion_sq(schedule, times) / schedule.sigma(times)


def _without_half(schedule: Schedule, times: Tensor) -> Tensor:
    return schedule.diffusion_sq(times)


def _factor_not_squared(schedule: Schedule, target: Target, times: Tensor) -> Tensor:
    factor = shift_factor(times, target, NOISE, schedule)
    return gain_weights(schedule, target, times) / factor.abs()


def _log_snr_steps(schedule: Schedule, times: Tensor, errors: Tensor) -> Tensor:
    return -schedule.log_snr(times).diff() / 2 @ errors[1:]


def _snr_ratio(schedule: Schedule, s: Tensor, t: Tensor) -> Tensor:
    return torch.exp(schedule.log_snr(s) - schedule.log_snr(t)) / 2


WHOLE = nats_strategies.whole_cases()
NATS = nats_strategies.nats_cases()

CLAIMS = (
    ExactClaim(
        "sde-bound-whole", "5", "KL(q_0|p_0^SDE) = KL(q_T|p_T) + J_SM - J_left, from T to 0", WHOLE,
        bound_error,
        (
            Mutant("whole-without-half", lambda c: bound_error(c, weight=_without_half)),
            Mutant("whole-sigma-for-sigma-squared", lambda c: bound_error(
                c, weight=_sigma_for_sigma_squared)),
            Mutant("whole-prior-forgotten", lambda c: bound_error(c, lambda p: p.j_sm)),
        ),
        share=0.3,
    ),
    ExactClaim(
        "ode-divergence-whole", "5", "KL(q_0|p_0^ODE) = KL(q_T|p_T) + J_ODE, from T to 0", WHOLE,
        ode_error,
        (
            Mutant("whole-score-matching-for-ode", lambda c: ode_error(c, lambda p: p.j_sm)),
            Mutant("whole-fisher-for-ode", lambda c: ode_error(c, lambda p: p.j_fisher)),
        ),
        share=0.3,
    ),
    ExactClaim(
        "calibration-nats", "5", "J_SM falls by 0.5 int |E e_theta|^2 |d lambda|, every target", NATS,
        calibration_error,
        (
            Mutant("nats-without-half", lambda c: calibration_error(
                c, lambda *of: 2 * gain_weights(*of))),
            Mutant("nats-of-any-target", lambda c: calibration_error(
                c, lambda schedule, target, times: bound_weights(schedule, times))),
            Mutant("factor-not-squared", lambda c: calibration_error(c, _factor_not_squared)),
            Mutant("nats-sigma-for-sigma-squared", lambda c: calibration_error(
                c, in_time=_sigma_for_sigma_squared)),
            Mutant("nats-data-mean-forgotten", lambda c: calibration_error(c, known_mean=False)),
        ),
        share=0.3,
    ),
    ExactClaim(
        "step-nats", "5", "a step's divergence falls by 0.5 (SNR_s/SNR_t - 1) |eta|^2, every target",
        strategies.misfit_cases(), step_error,
        (
            Mutant("step-ratio-inverted", lambda c: step_error(
                c, lambda schedule, s, t: -step_weight(schedule, t, s))),
            Mutant("step-without-minus-one", lambda c: step_error(c, _snr_ratio)),
            Mutant("step-of-any-target", lambda c: step_error(
                c, to_noise=lambda t, *of: torch.ones_like(t))),
        ),
    ),
    ExactClaim(
        "bits-per-dim", "5", "nats/(d ln 2) are bits per dimension", nats_strategies.bits_cases(),
        bits_error,
        (
            Mutant("natural-logarithm", lambda c: bits_error(
                c, lambda nats, d: Estimate(*(x / d for x in (nats.value, nats.lower, nats.upper))))),
            Mutant("bits-per-image", lambda c: bits_error(c, lambda nats, d: bits_per_dim(nats, 1))),
        ),
    ),
    ExactClaim(
        "discrete-bound-mixture", "5",
        "for a mixture, the discrete bound tends to the continuous one, at first order",
        model_strategies.likelihood_cases(), mixture_refinement_error,
        (
            Mutant("mixture-step-without-half", lambda c: mixture_refinement_error(
                c, lambda *of: 2 * discrete_bound(*of))),
            Mutant("mixture-continuous-weight", lambda c: mixture_refinement_error(
                c, _log_snr_steps)),
            Mutant("mixture-error-at-s", lambda c: mixture_refinement_error(
                c, lambda schedule, times, h: discrete_bound(schedule, times, h.roll(1)))),
        ),
        share=0.25,
    ),
)  # fmt: skip
