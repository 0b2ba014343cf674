"""Theorem 1 at its ends: s = 0, where it needs a smooth q_0, and data without a density, where s > 0.

For s > 0 nothing is needed but that q_0 is a probability law. Point masses are one: q_s is a mixture
of N(alpha_s m_k, sigma_s^2 I). A uniform law is another, whose q_s is smooth for every s > 0 but has
jumps at s = 0: there the theorem fails, as its score is zero wherever it has one.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from toy.claims.martingale import Kernel, kernel_expectation_error, relative
from toy.judge.claim import ExactClaim, Mutant
from toy.mixtures.diffusion import Diffusion, as_time
from toy.mixtures.mixture import GaussianMixture
from toy.numerics.quadrature import expectation
from toy.strategies import mixtures as strategies
from toy.strategies import models as model_strategies
from toy.strategies.mixtures import AtomicCase, ReverseCase


def atoms_error(case: AtomicCase, kernel: Kernel = Diffusion.reverse_kernel) -> float:
    """Of the score's martingale and of the posterior mean, which is a mean of the points."""
    return max(
        kernel_expectation_error(case, Diffusion.martingale, kernel),
        kernel_expectation_error(case, Diffusion.posterior_mean, kernel),
    )


def uniform_density(case: ReverseCase, x: Tensor, r: float) -> Tensor:
    """q_r and its derivative (n, 2) at points (n, 1), for data uniform about the first component's
    mean, as far as its deviation to either side.

    With ends a < b, q_r = (Phi((x - alpha a)/sigma) - Phi((x - alpha b)/sigma)) / (alpha (b - a)).
    """
    alpha_r, sigma_r = case.diffusion.scales(r)
    mean, deviation = case.components.means[0][0], case.components.deviations[0][0]
    low, high = ((x - alpha_r * (mean + side * deviation)) / sigma_r for side in (-1, 1))
    mass = torch.where(
        low + high > 0,
        torch.special.ndtr(-high) - torch.special.ndtr(-low),
        torch.special.ndtr(low) - torch.special.ndtr(high),
    )
    bells = [torch.exp(-z * z / 2) / (sigma_r * math.sqrt(2 * math.pi)) for z in (low, high)]
    return torch.cat([mass, bells[0] - bells[1]], 1) / (2 * alpha_r * deviation)


def jump_error(case: ReverseCase, power: int = 1) -> float:
    """alpha_s E[q_s'/q_s | x_t] = alpha_t q_t'/q_t for uniform data, in units of alpha_s/sigma_t.

    q(x_s|x_t) is q_s(x_s) N(x_t; A x_s, V) / q_t(x_t), and N(x_t; A x_s, V) a density in x_s over A.
    """
    s, t, x_t = case.times.s, case.times.t, _at_an_end(case)
    (alpha_s, sigma_s), (alpha_t, sigma_t) = case.diffusion.scales(s), case.diffusion.scales(t)
    a, v = case.diffusion.transition(s, t)
    step = GaussianMixture.diagonal(torch.ones(1), x_t / a, as_time(v / a**2)[None])
    integral = expectation(step, lambda x: uniform_density(case, x, s), scale=sigma_s)
    density, slope = integral.value
    exact, exact_slope = uniform_density(case, x_t, t)[0]
    left = (alpha_s**power * slope / density - alpha_t**power * exact_slope / exact).abs()
    own = integral.errors[1] / density + slope.abs() * integral.errors[0] / density**2
    size = integral.magnitude[1] / density + 1 / sigma_t
    return ((left + alpha_s * own) / (alpha_s * size)).item()


def jump_at_data_error(case: ReverseCase) -> float:
    """The same at s = 0, where the score of q_0 is zero inside the interval and there is no other."""
    _, sigma_t = case.diffusion.scales(case.times.t)
    density, slope = uniform_density(case, _at_an_end(case), case.times.t)[0]
    return (sigma_t * (slope / density).abs()).item()


def _at_an_end(case: ReverseCase) -> Tensor:
    """x_t (1, 1), so many sigma_t from what an end of the interval becomes."""
    alpha_t, sigma_t = case.diffusion.scales(case.times.t)
    end = case.components.means[0][0] + case.components.deviations[0][0]
    return torch.tensor([[alpha_t * end + case.offset[0] / 2 * sigma_t]], dtype=torch.float64)


def _without_alpha(diffusion: Diffusion, x: Tensor, t: float) -> Tensor:
    return diffusion.marginal(t).score(x)


def _forward_variance(diffusion: Diffusion, x_t: Tensor, s: float, t: float) -> GaussianMixture:
    kernel = diffusion.reverse_kernel(x_t, s, t)
    return replace(
        kernel, variances=torch.full_like(kernel.variances, diffusion.transition(s, t)[1])
    )


def _prior_weights(diffusion: Diffusion, x_t: Tensor, s: float, t: float) -> GaussianMixture:
    kernel = diffusion.reverse_kernel(x_t, s, t)
    return replace(kernel, log_weights=diffusion.data.log_weights)


def _score_of_kernel(case: ReverseCase) -> float:
    """The score of q(x_0|x_t), of mean zero, for that of q_0."""
    s, t, x_t = case.times.s, case.times.t, case.x_t()
    kernel = case.diffusion.reverse_kernel(x_t, s, t)
    integral = expectation(kernel, kernel.score)
    return relative(integral.value - case.diffusion.martingale(x_t, t), integral.magnitude)


FROM_DATA = strategies.times_from_data()
LINE = strategies.reverse_cases(1, reach=10.0, least=0.05, pairs=FROM_DATA)
PLANE = strategies.reverse_cases(2, reach=4.0, least=0.3, pairs=FROM_DATA)
ATOMS = strategies.atomic_cases(1, reach=10.0)
ATOMS_IN_PLANE = strategies.atomic_cases(2, reach=2.0, pairs=strategies.times(most=3.0))
JUMPS = strategies.reverse_cases(
    1, reach=4.0, least=0.3, pairs=model_strategies.near_times(0.1, 6.0, model_strategies.smooth())
)

CLAIMS = (
    ExactClaim(
        "martingale-from-data", "1", "E[grad log q_0(x_0)|x_t] = M_t at s = 0, sigma_s = 0", LINE,
        kernel_expectation_error,
        (
            Mutant("from-data-no-alpha", lambda c: kernel_expectation_error(c, _without_alpha)),
            Mutant("score-of-posterior", _score_of_kernel),
            Mutant("from-data-prior-weights", lambda c: kernel_expectation_error(
                c, kernel=_prior_weights)),
        ),
    ),
    ExactClaim(
        "martingale-from-data-2d", "1", "the same with full covariances", PLANE,
        kernel_expectation_error,
        (Mutant("from-data-forward-variance", lambda c: kernel_expectation_error(
            c, kernel=_forward_variance)),),
        share=0.5,
    ),
    ExactClaim(
        "martingale-of-atoms", "1", "M and E[x_0|x_t] of point masses, s > 0", ATOMS, atoms_error,
        (
            Mutant("atoms-no-alpha", lambda c: kernel_expectation_error(c, _without_alpha)),
            Mutant("atoms-prior-weights", lambda c: atoms_error(c, _prior_weights)),
            Mutant("atoms-forward-variance", lambda c: atoms_error(c, _forward_variance)),
        ),
    ),
    ExactClaim(
        "martingale-of-atoms-2d", "1", "the same in the plane", ATOMS_IN_PLANE, atoms_error,
        (Mutant("atoms-forward-variance-2d", lambda c: atoms_error(c, _forward_variance)),),
        share=0.5,
    ),
    ExactClaim(
        "martingale-of-jumps", "1", "M of a uniform law, which has jumps, s > 0", JUMPS, jump_error,
        (
            Mutant("jumps-no-alpha", lambda c: jump_error(c, power=0)),
            Mutant("jumps-at-data", jump_at_data_error),
        ),
    ),
)  # fmt: skip
