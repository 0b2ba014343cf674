"""Orders of convergence of Euler and Maruyama's chain, by the slopes of its errors.

The order at n steps is log2 e_n/e_{2n}. It is a series in the step h again, and extrapolated to
h = 0. An error that has a sign may vanish by chance, and then has no order; each error here is a
root mean square that does not vanish: over the noise, over x_t ~ q_t, or over several moments.

For one Gaussian everything is a closed recursion (``toy.claims.euler_maruyama``), and the leading
error of the mean is known. With a = f + g^2/c and Phi(s, r) from there, a step's gain is 1 - h a and
its error at the mean m is -h^2 alpha'' m/2, so that from x_t to s, over L = t - s,

    gain_n - Phi(s, t) = -(L/n) Phi(s, t) (a_t - a_s + int a^2 dr)/2 + O(1/n^2),
    E[x_s|x_t = alpha_t m] - alpha_s m = -(L/n) (m/2) int Phi(s, r) alpha''_r dr + O(1/n^2),

where int Phi alpha'' = Phi(s, t) alpha'_t - alpha'_s + int a Phi alpha' by parts.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from theory.diffusion.euler_maruyama import Score, euler_maruyama_step
from theory.diffusion.schedules import Schedule
from toy.claims.euler_maruyama import Step, chain, exact_kernel, strong_distance_sq
from toy.claims.mixture_chains import chain_law
from toy.judge.claim import exact_claim
from toy.mixtures.mixture import float64
from toy.numerics.gauss_rules import extrapolated, gauss_legendre
from toy.numerics.quadrature import expectation
from toy.numerics.relative_errors import largest
from toy.strategies.gaussians import MODERATE_CHAIN_CASES, GaussianChainCase
from toy.strategies.mixtures import ReverseCase, reverse_cases
from toy.strategies.time_pairs import moderate_time_pairs

REFINEMENTS = tuple(4 * 2**k for k in range(7))
"""Numbers of steps for one Gaussian."""

MIXTURE_STEPS = (2, 4, 8, 16, 32)
NODES, NODE_WEIGHTS = gauss_legendre(24)


def observed_order(errors: list[float]) -> float:
    """The order of errors over n, 2n, 4n ... steps: log2 of their ratios, extrapolated."""
    return extrapolated([math.log2(one / half) for one, half in pairwise(errors)])


def chain_mean_error(
    case: GaussianChainCase, steps: int, step: Step = euler_maruyama_step
) -> float:
    """Root mean square over x_t ~ q_t of the error of the chain's mean given x_t."""
    discrete, (offset, gain, _) = chain(case, steps, step), exact_kernel(case)
    alpha_t, c_t = (x.item() for x in case.scales(float64(case.times.t)))
    slope = discrete.gain - gain
    at_mean = discrete.offset - offset + slope * alpha_t * case.mean
    return math.hypot(at_mean, slope * c_t**0.5)


def chain_weak_error(
    case: GaussianChainCase, steps: int, step: Step = euler_maruyama_step
) -> float:
    """Root sum square of the mean's error in deviations of the kernel and the variance's relative error."""
    variance = exact_kernel(case)[2]
    weights = chain(case, steps, step).weights
    of_variance = (weights @ weights).item() / variance - 1
    return math.hypot(chain_mean_error(case, steps, step) / variance**0.5, of_variance)


def martingale_drift(
    case: GaussianChainCase, steps: int, step: Step = euler_maruyama_step
) -> float:
    """Root mean square over x_t ~ q_t of E[M_s|x_t] - M_t along the chain: M_s is affine in x_s."""
    alpha_s, c_s = (x.item() for x in case.scales(float64(case.times.s)))
    return alpha_s / c_s * chain_mean_error(case, steps, step)


def drift_constant(case: GaussianChainCase, squared: float = 1.0) -> float:
    """The limit of n ``martingale_drift``, with a share ``squared`` of int a^2."""
    schedule, (s, t) = case.times.schedule, (case.times.s, case.times.t)
    ends = float64([s, t])
    r, weights = (s + t) / 2 + (t - s) / 2 * NODES, (t - s) / 2 * NODE_WEIGHTS

    def rate(r: Tensor) -> Tensor:
        """a_r = f + g^2/c."""
        return schedule.drift(r) + schedule.diffusion_sq(r) / case.scales(r)[1]

    (alpha, c), phi = case.scales(ends), case.propagator(ends)[1]
    slope = phi / 2 * (rate(ends)[1] - rate(ends)[0] + squared * weights @ rate(r) ** 2)
    d_alpha = schedule.d_alpha(ends)
    curved = phi * d_alpha[1] - d_alpha[0]
    curved = curved + weights @ (rate(r) * case.propagator(r) * schedule.d_alpha(r))
    size = torch.hypot(case.mean / 2 * curved, slope * c[1].sqrt())
    return ((t - s) * alpha[0] / c[0] * size).item()


def weak_order_error(case: GaussianChainCase, step: Step = euler_maruyama_step) -> float:
    """|order - 1| of mean and variance."""
    return abs(observed_order([chain_weak_error(case, n, step) for n in REFINEMENTS]) - 1)


def strong_order_error(case: GaussianChainCase, step: Step = euler_maruyama_step) -> float:
    """|order - 1| of (E|x_s - exact x_s|^2)^(1/2) on shared noise."""
    squares = [strong_distance_sq(case, n, step) for n in REFINEMENTS]
    return abs(observed_order(squares) / 2 - 1)


def drift_order_error(
    case: GaussianChainCase,
    step: Step = euler_maruyama_step,
    constant: Callable[[GaussianChainCase], float] = drift_constant,
) -> float:
    """|order - 1| of the martingale's drift, and the relative error of n times it at its limit."""
    drifts = [martingale_drift(case, n, step) for n in REFINEMENTS]
    limit = extrapolated([n * drift for n, drift in zip(REFINEMENTS, drifts, strict=True)])
    return largest([abs(observed_order(drifts) - 1), abs(limit / constant(case) - 1)])


def mixture_errors(
    case: ReverseCase, step: Step = euler_maruyama_step, counts: tuple[int, ...] = MIXTURE_STEPS
) -> Tensor:
    """Errors of E z and E z^2 and the drift of M along the chain, for each number of steps, (counts, 3).

    z is x_s less its mean, in deviations of the exact kernel; the drift is in deviations of M_s.
    """
    diffusion, s, t, x_t = case.diffusion, case.times.s, case.times.t, case.x_t()
    kernel, m_t = diffusion.reverse_kernel(x_t, s, t), diffusion.martingale(x_t, t)
    middle = torch.cat([kernel.mean(), m_t])

    def centred(x: Tensor) -> Tensor:
        """x_s and M_s less what they should be in the mean."""
        return torch.cat([x, diffusion.martingale(x, s)], 1) - middle

    variances = expectation(kernel, lambda x: centred(x) ** 2).value

    def errors(steps: int) -> Tensor:
        """The three errors of a chain."""
        x, weights = chain_law(case, steps, step)
        z = centred(x) / variances.sqrt()
        first, of_m = weights @ z
        return torch.stack([first, weights @ z[:, 0] ** 2 - 1, of_m])

    return torch.stack([errors(n) for n in counts])


def mixture_order_error(case: ReverseCase, step: Step = euler_maruyama_step) -> float:
    """|order - 1| of the three together: one of them alone may have no term of the first order."""
    return abs(observed_order(mixture_errors(case, step).norm(dim=1).tolist()) - 1)


def _perturbed(drift: bool = False, noise: bool = False) -> Step:
    """The mistake of a drift or a noise that is off by a share sqrt(h): of order 1/2."""

    def step(
        score: Score, schedule: Schedule, x_t: Tensor, s: Tensor, t: Tensor, noise_t: Tensor
    ) -> Tensor:
        """Args: as ``Step``."""
        still = euler_maruyama_step(score, schedule, x_t, s, t, torch.zeros_like(noise_t))
        kick = euler_maruyama_step(score, schedule, x_t, s, t, noise_t) - still
        share = (t - s).sqrt()
        return x_t + (1 + drift * share) * (still - x_t) + (1 + noise * share) * kick

    return step


def heun_step(
    score: Score, schedule: Schedule, x_t: Tensor, s: Tensor, t: Tensor, noise: Tensor
) -> Tensor:
    """The mistake of Heun's step, whose mean has order 2.

    Args: as ``Step``.
    """
    x_s = euler_maruyama_step(score, schedule, x_t, s, t, noise)
    kick = x_s - euler_maruyama_step(score, schedule, x_t, s, t, torch.zeros_like(noise))
    backwards = schedule.drift(s) * x_s - schedule.diffusion_sq(s) * score(x_s, s)
    return (x_t + x_s - backwards * (t - s) + kick) / 2


MIXTURES = reverse_cases(
    1, reach=1.0, least=0.5, most=1.5, pairs=moderate_time_pairs(-1.5, 0.5, 0.02, 0.04)
)

ROOT_DRIFT, ROOT_NOISE = _perturbed(drift=True), _perturbed(noise=True)

CLAIMS = (
    exact_claim(
        "weak-slope", "1", "mean and variance of Euler-Maruyama: log2 of error ratios is 1",
        MODERATE_CHAIN_CASES, weak_order_error,
        step={"weak-root-drift": ROOT_DRIFT, "weak-root-noise": ROOT_NOISE},
    ),
    exact_claim(
        "strong-slope", "1", "additive noise: log2 of the strong error's ratios is 1",
        MODERATE_CHAIN_CASES, strong_order_error,
        step={"strong-root-drift": ROOT_DRIFT, "strong-root-noise": ROOT_NOISE},
    ),
    exact_claim(
        "drift-slope", "1", "the chain's drift of M is C/n, C in closed form", MODERATE_CHAIN_CASES,
        drift_order_error, step={"drift-root": ROOT_DRIFT, "drift-order-two": heun_step},
        constant={"drift-first-term": partial(drift_constant, squared=0.0)},
    ),
    exact_claim(
        "mixture-slope", "1", "moments and drift of M along a mixture's chain: order 1", MIXTURES,
        mixture_order_error,
        step={"mixture-root-drift": ROOT_DRIFT, "mixture-root-noise": ROOT_NOISE}, share=0.1,
    ),
)  # fmt: skip
