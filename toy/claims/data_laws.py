"""Theorem 1 at s = 0, where it needs a smooth q_0, and for data without a smooth density, s > 0.

For s > 0 the data may have any probability law. Of point masses, q_s is a mixture of
N(alpha_s m_k, sigma_s^2 I). Of a uniform law, q_s is smooth for every s > 0 but has jumps at s = 0:
there the theorem fails, as the score is zero wherever it exists.
"""

import math
from functools import partial

import torch
from torch import Tensor

from toy.claims.martingale import kernel_expectation_error
from toy.claims.mistakes import forward_variance, prior_weights
from toy.judge.claim import exact_claim
from toy.mixtures.diffusion import Diffusion, Kernel
from toy.mixtures.mixture import GaussianMixture, float64
from toy.numerics.quadrature import MAX_POINTS, expectation
from toy.numerics.relative_errors import largest, relative_error
from toy.strategies.mixtures import AtomicCase, ReverseCase, atomic_cases, reverse_cases
from toy.strategies.time_pairs import (
    SMOOTH_SCHEDULES,
    near_time_pairs,
    time_pairs,
    time_pairs_from_data,
)


def atoms_error(
    case: AtomicCase, kernel: Kernel = Diffusion.reverse_kernel, most: int = MAX_POINTS
) -> float:
    """Error of both martingales of point masses: the score's, and their posterior mean."""
    return largest(
        kernel_expectation_error(case, process, kernel, most)
        for process in (Diffusion.martingale, Diffusion.posterior_mean)
    )


_forward_variance_error = partial(atoms_error, kernel=forward_variance, most=2**14)


def uniform_density(case: ReverseCase, x: Tensor, r: float) -> Tensor:
    """q_r and its derivative (n, 2) at points (n, 1), for data uniform between two ends.

    The ends lie one deviation to either side of the first component's mean. For ends a < b,
    q_r = (Phi((x - alpha a)/sigma) - Phi((x - alpha b)/sigma)) / (alpha (b - a)).
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

    q(x_s|x_t) is q_s(x_s) N(x_t; A x_s, V) / q_t(x_t), and A N(x_t; A x_s, V) is a density in x_s.
    """
    s, t, x_t = case.times.s, case.times.t, _at_an_end(case)
    (alpha_s, sigma_s), (alpha_t, sigma_t) = case.diffusion.scales(s), case.diffusion.scales(t)
    a, v = case.diffusion.transition(s, t)
    step = GaussianMixture.diagonal(torch.ones(1), x_t / a, float64(v / a**2)[None])
    integral = expectation(step, lambda x: uniform_density(case, x, s), scale=sigma_s)
    density, slope = integral.value
    exact, exact_slope = uniform_density(case, x_t, t)[0]
    left = (alpha_s**power * slope / density - alpha_t**power * exact_slope / exact).abs()
    own = integral.errors[1] / density + slope.abs() * integral.errors[0] / density**2
    size = integral.magnitude[1] / density + 1 / sigma_t
    return ((left + alpha_s * own) / (alpha_s * size)).item()


def jump_at_data_error(case: ReverseCase) -> float:
    """The same at s = 0, where the score of q_0 is zero inside the interval and exists nowhere else."""
    _, sigma_t = case.diffusion.scales(case.times.t)
    density, slope = uniform_density(case, _at_an_end(case), case.times.t)[0]
    return (sigma_t * (slope / density).abs()).item()


def _at_an_end(case: ReverseCase) -> Tensor:
    """x_t (1, 1), so many sigma_t from alpha_t times an end of the interval."""
    alpha_t, sigma_t = case.diffusion.scales(case.times.t)
    end = case.components.means[0][0] + case.components.deviations[0][0]
    return float64([[alpha_t * end + case.offset[0] / 2 * sigma_t]])


def _score_of_kernel(case: ReverseCase) -> float:
    """The mistake of the score of q(x_0|x_t), which has mean zero, for that of q_0."""
    s, t, x_t = case.times.s, case.times.t, case.x_t()
    kernel = case.diffusion.reverse_kernel(x_t, s, t)
    integral = expectation(kernel, kernel.score)
    return relative_error(integral.value - case.diffusion.martingale(x_t, t), integral.magnitude)


FROM_DATA = time_pairs_from_data()
LINE = reverse_cases(1, reach=10.0, least=0.05, pairs=FROM_DATA)
PLANE = reverse_cases(2, reach=4.0, least=0.3, pairs=FROM_DATA)
ATOMS = atomic_cases(1, reach=10.0)
ATOMS_IN_PLANE = atomic_cases(2, reach=2.0, pairs=time_pairs(high=3.0))
JUMPS = reverse_cases(1, reach=4.0, least=0.3, pairs=near_time_pairs(0.1, 6.0, SMOOTH_SCHEDULES))

CLAIMS = (
    exact_claim(
        "martingale-from-data", "1", "E[grad log q_0(x_0)|x_t] = M_t at s = 0, sigma_s = 0", LINE,
        kernel_expectation_error, process={"from-data-no-alpha": Diffusion.score},
        instead={"score-of-posterior": _score_of_kernel},
        kernel={"from-data-prior-weights": prior_weights},
    ),
    exact_claim(
        "martingale-from-data-2d", "1", "the same with full covariances", PLANE,
        kernel_expectation_error, kernel={"from-data-forward-variance": forward_variance},
        share=0.5,
    ),
    exact_claim(
        "martingale-of-atoms", "1", "M and E[x_0|x_t] of point masses, s > 0", ATOMS, atoms_error,
        instead={
            "atoms-no-alpha": partial(kernel_expectation_error, process=Diffusion.score),
            "atoms-forward-variance": _forward_variance_error,
        },
        kernel={"atoms-prior-weights": prior_weights},
    ),
    exact_claim(
        "martingale-of-atoms-2d", "1", "the same in the plane", ATOMS_IN_PLANE, atoms_error,
        instead={"atoms-forward-variance-2d": _forward_variance_error}, share=0.5,
    ),
    exact_claim(
        "martingale-of-jumps", "1", "M of a uniform law, which has jumps, s > 0", JUMPS, jump_error,
        power={"jumps-no-alpha": 0}, instead={"jumps-at-data": jump_at_data_error},
    ),
)  # fmt: skip
