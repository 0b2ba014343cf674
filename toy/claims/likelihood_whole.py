"""The likelihood bound from T to 0, as an equality.

Over 10 to 14 units of log-SNR, integrals over time are composite Gauss-Legendre rules, and the
expectations at all of their times are computed together (``toy.numerics.marginals_over_time``). With
p carried by the reverse SDE of any score s_theta (``theory.proofs.likelihood``)

    KL(q_0|p_0) = KL(q_T|p_T) + J_SM - J_left,    J_left = 0.5 int g^2 E|s_theta - grad log p|^2,

so that the bound exceeds the divergence by J_left.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from theory.diffusion.schedules import Schedule
from toy.claims.likelihood import BoundTerms, mixture_divergence
from toy.judge.claim import exact_claim
from toy.mixtures.mixture import float64
from toy.numerics.marginals_over_time import MarginalsOverTime, log_snr_panels
from toy.numerics.relative_errors import error_of_sides
from toy.numerics.reported_errors import remembered
from toy.strategies.likelihood import WHOLE_RANGE_CASES, WholeRangeCase

Weight = Callable[[Schedule, Tensor], Tensor]
"""From a schedule and times (T,) to a weight in an integral over time, (T,)."""


@dataclass(frozen=True)
class WholeBoundTerms(BoundTerms):
    """The same terms, and by how much the bound exceeds the divergence."""

    j_left: float


Term = Callable[[WholeBoundTerms], float]
"""From the terms to a part of a statement."""


def half_diffusion_sq(schedule: Schedule, times: Tensor) -> Tensor:
    """g^2/2."""
    return schedule.diffusion_sq(times) / 2


def sigma_for_sigma_squared(schedule: Schedule, times: Tensor) -> Tensor:
    """The mistake of sigma for sigma^2 in g^2/2 = sigma^2 |d lambda/dt|/2."""
    return half_diffusion_sq(schedule, times) / schedule.sigma(times)


@remembered
def whole_bound_terms(case: WholeRangeCase, weight: Weight = half_diffusion_sq) -> WholeBoundTerms:
    """The terms from T to 0, with int h dt as int h/|d lambda/dt| |d lambda|."""
    diffusion, model, (s, t) = case.diffusion, case.model, (case.times.s, case.times.t)
    schedule = diffusion.schedule
    times, by_log_snr = log_snr_panels(schedule, s, t)
    marginals, alpha = MarginalsOverTime.of(diffusion, times), schedule.alpha(times)[:, None]
    x, density = marginals.points()

    def gaussian_score(moments: tuple[Tensor, Tensor]) -> Tensor:
        """The score of the law of x whose u = x/alpha has these means and variances, each (T,)."""
        mean, variance = (m[:, None] for m in moments)
        return -(x - alpha * mean) / (alpha**2 * variance)

    score, own, start = marginals.score(x), model.score(x, times[:, None]), float64(t)
    error, left = own - score, own - gaussian_score(model.sde_moments(times, start))
    gap = gaussian_score(model.ode_moments(times, start)) - score
    in_time = by_log_snr / schedule.d_log_snr(times).abs() * weight(schedule, times)
    terms = torch.stack([error**2, left**2, error * gap, gap**2])
    j_sm, j_left, j_ode, j_fisher = ((terms * density).sum(-1) @ in_time).tolist()
    q_s = diffusion.marginal(s)
    return WholeBoundTerms(
        kl_sde=mixture_divergence(q_s, model.sde_law(s, t)),
        kl_ode=mixture_divergence(q_s, model.ode_law(s, t)),
        kl_prior=mixture_divergence(diffusion.marginal(t), model.prior(t)),
        j_sm=j_sm, j_left=j_left, j_ode=j_ode, j_fisher=j_fisher,
    )  # fmt: skip


def whole_bound_error(
    case: WholeRangeCase,
    bound: Term = lambda p: p.kl_prior + p.j_sm,
    weight: Weight = half_diffusion_sq,
) -> float:
    """|KL - (bound - J_left)| of the SDE, relative to 1 + both."""
    terms = whole_bound_terms(case, weight)
    return error_of_sides(terms.kl_sde, bound(terms) - terms.j_left)


def whole_ode_error(case: WholeRangeCase, excess: Term = lambda p: p.j_ode) -> float:
    """|KL - KL_T - J_ODE| of the ODE, relative to 1 + both."""
    terms = whole_bound_terms(case)
    return error_of_sides(terms.kl_ode, terms.kl_prior + excess(terms))


CLAIMS = (
    exact_claim(
        "sde-bound-whole", "5", "KL(q_0|p_0^SDE) = KL(q_T|p_T) + J_SM - J_left, from T to 0",
        WHOLE_RANGE_CASES, whole_bound_error,
        weight={
            "whole-without-half": lambda schedule, times: schedule.diffusion_sq(times),
            "whole-sigma-for-sigma-squared": sigma_for_sigma_squared,
        },
        bound={"whole-prior-forgotten": lambda p: p.j_sm}, share=0.3,
    ),
    exact_claim(
        "ode-divergence-whole", "5", "KL(q_0|p_0^ODE) = KL(q_T|p_T) + J_ODE, from T to 0",
        WHOLE_RANGE_CASES, whole_ode_error,
        excess={
            "whole-score-matching-for-ode": lambda p: p.j_sm,
            "whole-fisher-for-ode": lambda p: p.j_fisher,
        },
        share=0.3,
    ),
)  # fmt: skip
