"""The likelihood bound, the ODE's likelihood, and the discrete bound, in one dimension.

Model scores s_theta are affine (``toy.mixtures.affine_model``), so that the laws p_s of their reverse
SDE and ODE are known exactly; the data are any mixture. From t down to s,

    SDE: KL(q_s|p_s) <= KL(q_t|p_t) + J_SM,    J_SM = 0.5 int g^2 E|s_theta - grad log q|^2,
    ODE: KL(q_s|p_s) = KL(q_t|p_t) + J_ODE <= KL(q_t|p_t) + sqrt(J_SM J_Fisher),

J_ODE = 0.5 int g^2 E[(s_theta - grad log q).(grad log p - grad log q)], and J_Fisher the same
integral of |grad log p - grad log q|^2. The bound of the SDE is an equality where s_theta is the
score of some diffusion under the same schedule, and p_t its law. ``toy.claims.likelihood_whole`` goes
from T to 0, and states the difference between the bound and the divergence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from theory.diffusion.likelihood_bound import discrete_bound
from theory.diffusion.ode_likelihood import ode_log_likelihood
from theory.diffusion.schedules import Schedule
from toy.judge.claim import exact_claim
from toy.mixtures.mixture import GaussianMixture, float64
from toy.numerics.gauss_rules import extrapolated, gauss_legendre
from toy.numerics.quadrature import expectation
from toy.numerics.relative_errors import error_of_sides, largest
from toy.numerics.reported_errors import UnresolvedError, remembered
from toy.strategies.likelihood import (
    LIKELIHOOD_CASES,
    TWO_MIXTURES_CASES,
    LikelihoodCase,
    TwoMixturesCase,
)

DiscreteBound = Callable[[Schedule, Tensor, Tensor], Tensor]
"""From a schedule, times (n + 1,) and squared noise errors there to the bound over n steps."""

SquaredError = Callable[[LikelihoodCase, Tensor], Tensor]
"""From a case and times (n,) to E|e_theta - E[e|x_t]|^2, (n,)."""

Sides = Callable[["BoundTerms"], tuple[float, float]]
"""From the terms to the two sides of a statement."""

NODES = 8
SETTLED = 1e-10


@dataclass(frozen=True)
class BoundTerms:
    """The terms of the statements: divergences of the SDE, of the ODE and at t, and integrals."""

    kl_sde: float
    kl_ode: float
    kl_prior: float
    j_sm: float
    j_ode: float
    j_fisher: float


def mixture_divergence(q: GaussianMixture, p: GaussianMixture) -> float:
    """KL(q|p) by quadrature, which settles relative to 1 or E|log q - log p|."""

    def terms(x: Tensor) -> Tensor:
        """log q/p, beside a one that the sums settle relative to."""
        ratio = q.log_density(x) - p.log_density(x)
        return torch.stack([ratio, torch.ones_like(ratio)], 1)

    return expectation(q, terms).value[0].item()


def time_integral(
    schedule: Schedule, s: float, t: float, integrand: Callable[[float], Tensor]
) -> Tensor:
    """int_s^t integrand dr by a Gauss-Legendre rule over log-SNR.

    Raises:
        UnresolvedError: fewer nodes give another value.
    """
    ends = schedule.log_snr(float64([t, s]))
    values = []
    for count in (NODES - 2, NODES):
        nodes, weights = gauss_legendre(count)
        times = schedule.time_of(ends.mean() + ends.diff() / 2 * nodes)
        weights = ends.diff() / 2 * weights / schedule.d_log_snr(times).abs()
        values.append(weights @ torch.stack([integrand(r) for r in times.tolist()]))
    if ((values[1] - values[0]).abs() > SETTLED * (1 + values[1].abs())).any():
        raise UnresolvedError("likelihood: the integral over time does not settle")
    return values[1]


@remembered
def bound_terms(case: LikelihoodCase) -> BoundTerms:
    """The terms of one case."""
    diffusion, model, (s, t) = case.diffusion, case.model, (case.times.s, case.times.t)

    def integrand(r: float) -> Tensor:
        """g^2/2 times the three expectations."""
        q, ode = diffusion.marginal(r), model.ode_law(r, t)

        def terms(x: Tensor) -> Tensor:
            """The three integrands, beside the square of the score that they settle relative to."""
            score = q.score(x)
            error, gap = model.score(x, r) - score, ode.score(x) - score
            return torch.cat([error**2, error * gap, gap**2, score**2], 1)

        halves = expectation(q, terms).value[:3] / 2
        return diffusion.schedule.diffusion_sq(float64(r)) * halves

    j_sm, j_ode, j_fisher = time_integral(diffusion.schedule, s, t, integrand).tolist()
    q_s = diffusion.marginal(s)
    return BoundTerms(
        kl_sde=mixture_divergence(q_s, model.sde_law(s, t)),
        kl_ode=mixture_divergence(q_s, model.ode_law(s, t)),
        kl_prior=mixture_divergence(diffusion.marginal(t), model.prior(t)),
        j_sm=j_sm, j_ode=j_ode, j_fisher=j_fisher,
    )  # fmt: skip


def inequality_error(case: LikelihoodCase, sides: Sides) -> float:
    """By how much the left side exceeds the right one, relative to 1 + both."""
    left, right = sides(bound_terms(case))
    return error_of_sides(largest([left, right]), right)


def equality_error(case: LikelihoodCase, sides: Sides) -> float:
    """By how much the two sides differ, relative to 1 + both."""
    return error_of_sides(*sides(bound_terms(case)))


def dissipation_error(
    case: TwoMixturesCase,
    factor: Callable[[Schedule, Tensor], Tensor] = lambda schedule, t: schedule.diffusion_sq(t) / 2,
    kl: Callable[[GaussianMixture, GaussianMixture], float] = mixture_divergence,
) -> float:
    """KL(q_s|p_s) = KL(q_t|p_t) + 0.5 int g^2 E|grad log p - grad log q|^2, both diffused."""
    schedule, s, t = case.times.schedule, case.times.s, case.times.t
    q, p = case.data, case.model

    def integrand(r: float) -> Tensor:
        """g^2/2 E|grad log p - grad log q|^2."""
        q_r, p_r = q.marginal(r), p.marginal(r)

        def terms(x: Tensor) -> Tensor:
            """The integrand, beside the square of the score that it settles relative to."""
            score = q_r.score(x)
            return torch.cat([(p_r.score(x) - score) ** 2, score**2], 1)

        return factor(schedule, float64(r)) * expectation(q_r, terms).value[:1]

    fall = time_integral(schedule, s, t, integrand).item()
    return error_of_sides(kl(q.marginal(s), p.marginal(s)), kl(q.marginal(t), p.marginal(t)) + fall)


def change_of_variables_error(
    case: TwoMixturesCase, score_share: float = 1.0, divergence_share: float = 1.0
) -> float:
    """log p_s(x_s) by the ODE from p_t with the exact score, against log p_s, at two points."""
    p, s, t = case.model, case.times.s, case.times.t

    def model(x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """The score and its divergence."""
        law = p.marginal(time.item())
        return score_share * law.score(x), divergence_share * law.hessian(x)[:, 0, 0]

    law = p.marginal(s)
    x_s = law.means[:1] + law.variances[:1].sqrt() * torch.tensor([[case.offset], [0.5]]).double()
    by_ode = ode_log_likelihood(model, p.marginal(t).log_density, case.times.schedule, x_s, s, t)
    exact = law.log_density(x_s)
    return ((by_ode - exact).abs() / (1 + exact.abs())).max().item()


def refinement_error(
    case: LikelihoodCase,
    bound: DiscreteBound = discrete_bound,
    squared_error: SquaredError = LikelihoodCase.squared_noise_error,
    doublings: int = 8,
) -> float:
    """The discrete bound tends to the continuous one at first order, with Euler and Maclaurin's constant.

    Its values over n, 2n, 4n ... steps, and n times their errors, are extrapolated in powers of 1/n.

    Args:
        case: the data and the model.
        bound: the discrete bound.
        squared_error: E|e_theta - E[e|x]|^2; in closed form for data of the first component alone.
        doublings: how many numbers of steps.
    """
    schedule = case.times.schedule
    ends = float64([case.times.s, case.times.t])
    high, low = schedule.log_snr(ends).tolist()
    steps = [8 * 2**k for k in range(doublings)]
    finest = schedule.time_of(torch.linspace(high, low, steps[-1] + 1, dtype=torch.float64))
    errors = squared_error(case, finest)
    sums = [
        bound(schedule, finest[::every], errors[::every]).item()
        for every in (steps[-1] // n for n in steps)
    ]
    exact, slope = _continuous_bound(case, squared_error, high, low)
    first_order = [n * (total - exact) for n, total in zip(steps, sums, strict=True)]
    worst = largest([abs(extrapolated(sums) - exact), abs(extrapolated(first_order[:6]) - slope)])
    return worst / (exact + abs(slope))


def _continuous_bound(
    case: LikelihoodCase, squared_error: SquaredError, high: float, low: float
) -> tuple[float, float]:
    """The bound between two log-SNRs, and n times the error of n steps for large n."""
    schedule, (nodes, weights) = case.times.schedule, gauss_legendre(24)
    middle, half = (high + low) / 2, (high - low) / 2
    h = squared_error(case, schedule.time_of(middle + half * nodes))
    exact = (half * weights @ h / 2).item()
    at_s, at_t = squared_error(case, float64([case.times.s, case.times.t])).tolist()
    return exact, half * (exact - (at_s - at_t) / 2)


def _inverted(schedule: Schedule, times: Tensor, errors: Tensor) -> Tensor:
    ratio = schedule.log_snr(times[1:]) - schedule.log_snr(times[:-1])
    return -torch.expm1(ratio) / 2 @ errors[1:]


def earlier_error(schedule: Schedule, times: Tensor, errors: Tensor) -> Tensor:
    """The mistake of each step's error at its other end."""
    return discrete_bound(schedule, times, errors.roll(1))


def log_snr_steps(schedule: Schedule, times: Tensor, errors: Tensor) -> Tensor:
    """The mistake of the continuous weight for that of a step."""
    return -schedule.log_snr(times).diff() / 2 @ errors[1:]


def without_half(schedule: Schedule, times: Tensor, errors: Tensor) -> Tensor:
    """The mistake of the bound without its factor 1/2."""
    return 2 * discrete_bound(schedule, times, errors)


CLAIMS = (
    exact_claim(
        "kl-dissipation", "5", "KL(q_s|p_s) = KL(q_t|p_t) + J_SM for two diffusions",
        TWO_MIXTURES_CASES, dissipation_error,
        factor={
            "without-half": lambda schedule, t: schedule.diffusion_sq(t),
            "without-g-squared": lambda schedule, t: torch.full_like(t, 0.5),
        },
        kl={"other-direction": lambda q, p: mixture_divergence(p, q)},
    ),
    exact_claim(
        "sde-bound", "5", "KL(q_s|p_s^SDE) <= KL(q_t|p_t) + J_SM", LIKELIHOOD_CASES,
        partial(inequality_error, sides=lambda p: (p.kl_sde, p.kl_prior + p.j_sm)),
        sides={
            "half-the-bound": lambda p: (p.kl_sde, p.kl_prior + p.j_sm / 2),
            "prior-forgotten": lambda p: (p.kl_sde, p.j_sm),
            "sde-bound-on-ode": lambda p: (p.kl_ode, p.kl_prior + p.j_sm),
        },
    ),
    exact_claim(
        "ode-divergence", "5", "KL(q_s|p_s^ODE) = KL(q_t|p_t) + J_ODE", LIKELIHOOD_CASES,
        partial(equality_error, sides=lambda p: (p.kl_ode, p.kl_prior + p.j_ode)),
        sides={
            "score-matching-for-ode": lambda p: (p.kl_ode, p.kl_prior + p.j_sm),
            "half-the-ode": lambda p: (p.kl_ode, p.kl_prior + p.j_ode / 2),
        },
    ),
    exact_claim(
        "fisher-bound", "5", "KL(q_s|p_s^ODE) <= KL(q_t|p_t) + sqrt(J_SM J_Fisher)",
        LIKELIHOOD_CASES,
        partial(
            inequality_error, sides=lambda p: (p.kl_ode, p.kl_prior + (p.j_sm * p.j_fisher) ** 0.5)
        ),
        sides={
            "product-without-root": lambda p: (p.kl_ode, p.kl_prior + p.j_sm * p.j_fisher),
            "half-the-root": lambda p: (p.kl_ode, p.kl_prior + (p.j_sm * p.j_fisher) ** 0.5 / 2),
        },
    ),
    exact_claim(
        "ode-likelihood", "5", "log p_s by the change of variables along the ODE",
        TWO_MIXTURES_CASES, change_of_variables_error, score_share={"sde-drift": 2.0},
        divergence_share={"without-divergence": 0.0, "divergence-twice": 2.0},
    ),
    exact_claim(
        "discrete-bound", "5",
        "for one Gaussian, the discrete bound tends to the continuous one, at first order",
        LIKELIHOOD_CASES, refinement_error,
        bound={
            "snr-ratio-inverted": _inverted, "error-at-s": earlier_error,
            "step-without-half": without_half, "continuous-weight": log_snr_steps,
        },
    ),
)  # fmt: skip
