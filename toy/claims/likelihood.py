"""The likelihood bound, the ODE's likelihood, and the discrete bound, in one dimension.

Model scores s_theta are affine (``toy.mixtures.affine_model``), so that the laws p_s which
their reverse SDE and ODE reach are known exactly; the data are any mixture. From t down to s,

    SDE: KL(q_s|p_s) <= KL(q_t|p_t) + J_SM,    J_SM = 0.5 int g^2 E|s_theta - grad log q|^2,
    ODE: KL(q_s|p_s) = KL(q_t|p_t) + J_ODE <= KL(q_t|p_t) + sqrt(J_SM J_Fisher),

J_ODE = 0.5 int g^2 E[(s_theta - grad log q).(grad log p - grad log q)], and J_Fisher the same
integral of |grad log p - grad log q|^2. The bound of the SDE is an equality where s_theta is the
score of some diffusion under the same schedule, and p_t its law. ``toy.claims.nats`` goes from T to
0, and says by how much the bound misses.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from theory.diffusion.likelihood_bound import discrete_bound
from theory.diffusion.ode_likelihood import ode_log_likelihood
from theory.diffusion.schedules import Schedule
from toy.judge.claim import ExactClaim, Mutant
from toy.mixtures.diffusion import as_time
from toy.mixtures.mixture import GaussianMixture
from toy.numerics.quadrature import UnresolvedError, expectation
from toy.numerics.readings import remembered
from toy.strategies import models as model_strategies
from toy.strategies.models import FlowCase, LikelihoodCase

Steps = Callable[[Schedule, Tensor, Tensor], Tensor]
SquaredError = Callable[[LikelihoodCase, Tensor], Tensor]

NODES = 8
SETTLED = 1e-10


@dataclass(frozen=True)
class Pieces:
    """Every term of the statements: divergences and integrals, as numbers."""

    kl_sde: float
    kl_ode: float
    kl_prior: float
    j_sm: float
    j_ode: float
    j_fisher: float


def divergence(q: GaussianMixture, p: GaussianMixture) -> float:
    """KL(q|p) by quadrature, which settles relative to 1 or E|log q - log p|."""

    def terms(x: Tensor) -> Tensor:
        ratio = q.log_density(x) - p.log_density(x)
        return torch.stack([ratio, torch.ones_like(ratio)], 1)

    return expectation(q, terms).value[0].item()


def time_integral(
    schedule: Schedule, s: float, t: float, integrand: Callable[[float], Tensor]
) -> Tensor:
    """int_s^t integrand dr by Gauss and Legendre over log-SNR.

    Raises:
        UnresolvedError: fewer nodes give another value.
    """
    ends = schedule.log_snr(torch.tensor([t, s], dtype=torch.float64))
    values = []
    for count in (NODES - 2, NODES):
        nodes, weights = map(torch.from_numpy, np.polynomial.legendre.leggauss(count))
        times = schedule.time_of(ends.mean() + ends.diff() / 2 * nodes)
        weights = ends.diff() / 2 * weights / schedule.d_log_snr(times).abs()
        values.append(weights @ torch.stack([integrand(r) for r in times.tolist()]))
    if ((values[1] - values[0]).abs() > SETTLED * (1 + values[1].abs())).any():
        raise UnresolvedError("likelihood: the integral over time does not settle")
    return values[1]


@remembered
def pieces(case: LikelihoodCase) -> Pieces:
    """All the terms of one case, from one pass over time."""
    diffusion, model, (s, t) = case.diffusion, case.model, (case.times.s, case.times.t)

    def integrand(r: float) -> Tensor:
        q, ode = diffusion.marginal(r), model.ode_law(r, t)

        def terms(x: Tensor) -> Tensor:
            score = q.score(x)
            error, gap = model.score(x, r) - score, ode.score(x) - score
            return torch.cat([error**2, error * gap, gap**2, score**2], 1)

        halves = expectation(q, terms).value[:3] / 2
        return diffusion.schedule.diffusion_sq(as_time(r)) * halves

    j_sm, j_ode, j_fisher = time_integral(diffusion.schedule, s, t, integrand).tolist()
    q_s = diffusion.marginal(s)
    return Pieces(
        kl_sde=divergence(q_s, model.sde_law(s, t)),
        kl_ode=divergence(q_s, model.ode_law(s, t)),
        kl_prior=divergence(diffusion.marginal(t), model.prior(t)),
        j_sm=j_sm, j_ode=j_ode, j_fisher=j_fisher,
    )  # fmt: skip


def excess(case: LikelihoodCase, sides: Callable[[Pieces], tuple[float, float]]) -> float:
    """By how much the left side exceeds the right one, relative to 1 + both."""
    left, right = sides(pieces(case))
    return max(0.0, left - right) / (1 + abs(left) + abs(right))


def difference(case: LikelihoodCase, sides: Callable[[Pieces], tuple[float, float]]) -> float:
    """By how much two sides differ, relative to 1 + both."""
    left, right = sides(pieces(case))
    return abs(left - right) / (1 + abs(left) + abs(right))


def dissipation_error(
    case: FlowCase,
    factor: Callable[[Schedule, Tensor], Tensor] = lambda schedule, t: schedule.diffusion_sq(t) / 2,
    kl: Callable[[GaussianMixture, GaussianMixture], float] = divergence,
) -> float:
    """KL(q_s|p_s) = KL(q_t|p_t) + 0.5 int g^2 E|grad log p - grad log q|^2, both diffused."""
    schedule, s, t = case.times.schedule, case.times.s, case.times.t
    q, p = case.data, case.model

    def integrand(r: float) -> Tensor:
        q_r, p_r = q.marginal(r), p.marginal(r)

        def terms(x: Tensor) -> Tensor:
            score = q_r.score(x)
            return torch.cat([(p_r.score(x) - score) ** 2, score**2], 1)

        return factor(schedule, as_time(r)) * expectation(q_r, terms).value[:1]

    fall = time_integral(schedule, s, t, integrand).item()
    left, right = kl(q.marginal(s), p.marginal(s)), kl(q.marginal(t), p.marginal(t)) + fall
    return abs(left - right) / (1 + abs(left) + abs(right))


def change_of_variables_error(
    case: FlowCase, score_share: float = 1.0, divergence_share: float = 1.0
) -> float:
    """log p_s(x_s) by the ODE from p_t with the exact score, against log p_s, at two points."""
    p, s, t = case.model, case.times.s, case.times.t

    def model(x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        law = p.marginal(time.item())
        return score_share * law.score(x), divergence_share * law.hessian(x)[:, 0, 0]

    law = p.marginal(s)
    x_s = law.means[:1] + law.variances[:1].sqrt() * torch.tensor([[case.offset], [0.5]]).double()
    by_ode = ode_log_likelihood(model, p.marginal(t).log_density, case.times.schedule, x_s, s, t)
    exact = law.log_density(x_s)
    return ((by_ode - exact).abs() / (1 + exact.abs())).max().item()


def refinement_error(
    case: LikelihoodCase,
    bound: Steps = discrete_bound,
    squared_error: SquaredError = LikelihoodCase.squared_noise_error,
    doublings: int = 8,
) -> float:
    """The discrete bound over n, 2n, 4n ... steps, extrapolated in powers of 1/n, is the continuous
    one; and its error is of first order with the constant that Euler and Maclaurin give.

    h = E|e_theta - E[e|x]|^2 at times (n,) is ``squared_error``: in closed form for data of the first
    component alone.
    """
    schedule = case.times.schedule
    times = torch.tensor([case.times.s, case.times.t], dtype=torch.float64)
    high, low = schedule.log_snr(times)
    steps = [8 * 2**k for k in range(doublings)]
    finest = schedule.time_of(
        torch.linspace(high.item(), low.item(), steps[-1] + 1, dtype=torch.float64)
    )
    of_finest = squared_error(case, finest)
    sums = []
    for n in steps:
        every = steps[-1] // n
        sums.append(bound(schedule, finest[::every], of_finest[::every]).item())
    nodes, weights = map(torch.from_numpy, np.polynomial.legendre.leggauss(24))
    middle, half = (high + low) / 2, (high - low) / 2
    h = squared_error(case, schedule.time_of(middle + half * nodes))
    exact = (half * weights @ h / 2).item()
    ends = squared_error(case, times)
    slope = half.item() * (exact - ((ends[0] - ends[1]) / 2).item())
    first_order = [n * (total - exact) for n, total in zip(steps, sums, strict=True)]
    size = exact + abs(slope)
    return max(abs(extrapolated(sums) - exact), abs(extrapolated(first_order[:6]) - slope)) / size


def extrapolated(values: list[float], base: float = 2.0) -> float:
    """The limit of a sequence at n, 2n, 4n ... whose error is a series in 1/n (Romberg).

    A base of 4 is for a series in 1/n^2.
    """
    column, power = values, base
    while len(column) > 1:
        column = [(power * b - a) / (power - 1) for a, b in pairwise(column)]
        power *= base
    return column[0]


def _inverted(schedule: Schedule, times: Tensor, errors: Tensor) -> Tensor:
    ratio = schedule.log_snr(times[1:]) - schedule.log_snr(times[:-1])
    return -torch.expm1(ratio) / 2 @ errors[1:]


def _earlier_error(schedule: Schedule, times: Tensor, errors: Tensor) -> Tensor:
    return discrete_bound(schedule, times, errors.roll(1))


def _log_snr_steps(schedule: Schedule, times: Tensor, errors: Tensor) -> Tensor:
    return -schedule.log_snr(times).diff() / 2 @ errors[1:]


CASES = model_strategies.likelihood_cases()
FLOWS = model_strategies.flow_cases()

CLAIMS = (
    ExactClaim(
        "kl-dissipation", "5", "KL(q_s|p_s) = KL(q_t|p_t) + J_SM for two diffusions", FLOWS,
        dissipation_error,
        (
            Mutant("without-half", lambda c: dissipation_error(
                c, lambda schedule, t: schedule.diffusion_sq(t))),
            Mutant("without-g-squared", lambda c: dissipation_error(
                c, lambda schedule, t: torch.full_like(t, 0.5))),
            Mutant("other-direction", lambda c: dissipation_error(
                c, kl=lambda q, p: divergence(p, q))),
        ),
    ),
    ExactClaim(
        "sde-bound", "5", "KL(q_s|p_s^SDE) <= KL(q_t|p_t) + J_SM", CASES,
        lambda c: excess(c, lambda p: (p.kl_sde, p.kl_prior + p.j_sm)),
        (
            Mutant("half-the-bound", lambda c: excess(
                c, lambda p: (p.kl_sde, p.kl_prior + p.j_sm / 2))),
            Mutant("prior-forgotten", lambda c: excess(c, lambda p: (p.kl_sde, p.j_sm))),
            Mutant("sde-bound-on-ode", lambda c: excess(
                c, lambda p: (p.kl_ode, p.kl_prior + p.j_sm))),
        ),
    ),
    ExactClaim(
        "ode-divergence", "5", "KL(q_s|p_s^ODE) = KL(q_t|p_t) + J_ODE", CASES,
        lambda c: difference(c, lambda p: (p.kl_ode, p.kl_prior + p.j_ode)),
        (
            Mutant("score-matching-for-ode", lambda c: difference(
                c, lambda p: (p.kl_ode, p.kl_prior + p.j_sm))),
            Mutant("half-the-ode", lambda c: difference(
                c, lambda p: (p.kl_ode, p.kl_prior + p.j_ode / 2))),
        ),
    ),
    ExactClaim(
        "fisher-bound", "5", "KL(q_s|p_s^ODE) <= KL(q_t|p_t) + sqrt(J_SM J_Fisher)", CASES,
        lambda c: excess(c, lambda p: (p.kl_ode, p.kl_prior + (p.j_sm * p.j_fisher) ** 0.5)),
        (
            Mutant("product-without-root", lambda c: excess(
                c, lambda p: (p.kl_ode, p.kl_prior + p.j_sm * p.j_fisher))),
            Mutant("half-the-root", lambda c: excess(
                c, lambda p: (p.kl_ode, p.kl_prior + (p.j_sm * p.j_fisher) ** 0.5 / 2))),
        ),
    ),
    ExactClaim(
        "ode-likelihood", "5", "log p_s by the change of variables along the ODE", FLOWS,
        change_of_variables_error,
        (
            Mutant("sde-drift", lambda c: change_of_variables_error(c, score_share=2.0)),
            Mutant("without-divergence", lambda c: change_of_variables_error(
                c, divergence_share=0.0)),
            Mutant("divergence-twice", lambda c: change_of_variables_error(
                c, divergence_share=2.0)),
        ),
    ),
    ExactClaim(
        "discrete-bound", "5",
        "for one Gaussian, the discrete bound tends to the continuous one, at first order",
        CASES, refinement_error,
        (
            Mutant("snr-ratio-inverted", lambda c: refinement_error(c, _inverted)),
            Mutant("error-at-s", lambda c: refinement_error(c, _earlier_error)),
            Mutant("step-without-half", lambda c: refinement_error(
                c, lambda *of: 2 * discrete_bound(*of))),
            Mutant("continuous-weight", lambda c: refinement_error(c, _log_snr_steps)),
        ),
    ),
)  # fmt: skip
