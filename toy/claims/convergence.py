"""Orders of convergence of Euler and Maruyama's chain, by the slopes of its errors.

The order at n steps is log2 e_n/e_{2n}. It is a series in the step h again, and extrapolated to
h = 0. An error that has a sign may vanish by chance, and then tells nothing; each error here is a
root mean square that does not: over the noise, over x_t ~ q_t, or over several moments.

Of one Gaussian everything is a closed recursion (``toy.claims.dynamics``), and the mean's leading
error is known. With a = f + g^2/c and Phi(s, r) from there, a step's gain is 1 - h a and its error
at the mean m is -h^2 alpha'' m/2, so that from x_t to s, over L = t - s,

    gain_n - Phi(s, t) = -(L/n) Phi(s, t) (a_t - a_s + int a^2 dr)/2 + O(1/n^2),
    E[x_s|x_t = alpha_t m] - alpha_s m = -(L/n) (m/2) int Phi(s, r) alpha''_r dr + O(1/n^2),

where int Phi alpha'' = Phi(s, t) alpha'_t - alpha'_s + int a Phi alpha' by parts.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from theory.diffusion.euler_maruyama import Score, euler_maruyama_step
from theory.diffusion.schedules import Schedule
from toy.claims import chains
from toy.claims.dynamics import Step, chain, exact, strong_distance_sq
from toy.claims.likelihood import extrapolated
from toy.judge.claim import ExactClaim, Mutant
from toy.mixtures.diffusion import as_time
from toy.numerics.quadrature import expectation
from toy.strategies import mixtures as strategies
from toy.strategies import models as model_strategies
from toy.strategies.mixtures import ReverseCase, TimePair, log_snr_range
from toy.strategies.models import LineCase

REFINEMENTS = tuple(4 * 2**k for k in range(7))
MIXTURE_STEPS = (2, 4, 8, 16, 32)
NODES, NODE_WEIGHTS = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(24))


def order(errors: list[float]) -> float:
    """The order of errors over n, 2n, 4n ... steps: log2 of their ratios, extrapolated."""
    return extrapolated([math.log2(one / half) for one, half in pairwise(errors)])


def mean_error(case: LineCase, steps: int, step: Step = euler_maruyama_step) -> float:
    """Root mean square over x_t ~ q_t of the error of the chain's mean given x_t."""
    discrete, (offset, gain, _) = chain(case, steps, step), exact(case)
    alpha_t, c_t = (x.item() for x in case.scales(as_time(case.times.t)))
    slope = discrete.gain - gain
    at_mean = discrete.offset - offset + slope * alpha_t * case.mean
    return math.hypot(at_mean, slope * c_t**0.5)


def weak_error(case: LineCase, steps: int, step: Step = euler_maruyama_step) -> float:
    """Of the mean, in deviations of the exact kernel, and of the variance in its own size: both."""
    variance = exact(case)[2]
    weights = chain(case, steps, step).weights
    of_variance = (weights @ weights).item() / variance - 1
    return math.hypot(mean_error(case, steps, step) / variance**0.5, of_variance)


def martingale_drift(case: LineCase, steps: int, step: Step = euler_maruyama_step) -> float:
    """Root mean square over x_t ~ q_t of E[M_s|x_t] - M_t along the chain: M_s is affine in x_s."""
    alpha_s, c_s = (x.item() for x in case.scales(as_time(case.times.s)))
    return alpha_s / c_s * mean_error(case, steps, step)


def drift_constant(case: LineCase, squared: float = 1.0) -> float:
    """The limit of n ``martingale_drift``, with so much of int a^2."""
    schedule, (s, t) = case.times.schedule, (case.times.s, case.times.t)
    ends = torch.tensor([s, t], dtype=torch.float64)
    r, weights = (s + t) / 2 + (t - s) / 2 * NODES, (t - s) / 2 * NODE_WEIGHTS

    def rate(r: Tensor) -> Tensor:
        return schedule.drift(r) + schedule.diffusion_sq(r) / case.scales(r)[1]

    (alpha, c), phi = case.scales(ends), case.propagator(ends)[1]
    slope = phi / 2 * (rate(ends)[1] - rate(ends)[0] + squared * weights @ rate(r) ** 2)
    d_alpha = schedule.d_alpha(ends)
    curved = phi * d_alpha[1] - d_alpha[0]
    curved = curved + weights @ (rate(r) * case.propagator(r) * schedule.d_alpha(r))
    size = torch.hypot(case.mean / 2 * curved, slope * c[1].sqrt())
    return ((t - s) * alpha[0] / c[0] * size).item()


def weak_order_error(case: LineCase, step: Step = euler_maruyama_step) -> float:
    """|order - 1| of mean and variance."""
    return abs(order([weak_error(case, n, step) for n in REFINEMENTS]) - 1)


def strong_order_error(case: LineCase, step: Step = euler_maruyama_step) -> float:
    """|order - 1| of (E|x_s - exact x_s|^2)^(1/2) on shared noise."""
    squares = [strong_distance_sq(case, n, step) for n in REFINEMENTS]
    return abs(order(squares) / 2 - 1)


def drift_order_error(
    case: LineCase,
    step: Step = euler_maruyama_step,
    constant: Callable[[LineCase], float] = drift_constant,
) -> float:
    """|order - 1| of the martingale's drift, and n times it against its closed form, relative."""
    drifts = [martingale_drift(case, n, step) for n in REFINEMENTS]
    limit = extrapolated([n * drift for n, drift in zip(REFINEMENTS, drifts, strict=True)])
    return max(abs(order(drifts) - 1), abs(limit / constant(case) - 1))


def mixture_errors(
    case: ReverseCase, step: Step = euler_maruyama_step, counts: tuple[int, ...] = MIXTURE_STEPS
) -> Tensor:
    """Along the chain: errors of E z, of E z^2, and the drift of M, each (counts,): (counts, 3).

    z is x_s less its mean and M_s - M_t over their deviations, under the exact kernel.
    """
    diffusion, s, t, x_t = case.diffusion, case.times.s, case.times.t, case.x_t()
    kernel, m_t = diffusion.reverse_kernel(x_t, s, t), diffusion.martingale(x_t, t)
    middle = torch.cat([kernel.mean(), m_t])

    def centred(x: Tensor) -> Tensor:
        return torch.cat([x, diffusion.martingale(x, s)], 1) - middle

    variances = expectation(kernel, lambda x: centred(x) ** 2).value

    def errors(steps: int) -> Tensor:
        x, weights = chains.chain_law(case, steps, step)
        z = centred(x) / variances.sqrt()
        first, of_m = weights @ z
        return torch.stack([first, weights @ z[:, 0] ** 2 - 1, of_m])

    return torch.stack([errors(n) for n in counts])


def mixture_order_error(case: ReverseCase, step: Step = euler_maruyama_step) -> float:
    """|order - 1| of the three together: any of them alone may have no term of the first order."""
    return abs(order(mixture_errors(case, step).norm(dim=1).tolist()) - 1)


def _perturbed(drift: bool = False, noise: bool = False) -> Step:
    """A step whose drift or noise is off by a share sqrt(h): of order 1/2."""

    def step(
        score: Score, schedule: Schedule, x_t: Tensor, s: Tensor, t: Tensor, noise_t: Tensor
    ) -> Tensor:
        still = euler_maruyama_step(score, schedule, x_t, s, t, torch.zeros_like(noise_t))
        kick = euler_maruyama_step(score, schedule, x_t, s, t, noise_t) - still
        share = (t - s).sqrt()
        return x_t + (1 + drift * share) * (still - x_t) + (1 + noise * share) * kick

    return step


def heun_step(
    score: Score, schedule: Schedule, x_t: Tensor, s: Tensor, t: Tensor, noise: Tensor
) -> Tensor:
    """The drift averaged over both ends of Euler and Maruyama's step: order 2 of the mean."""
    x_s = euler_maruyama_step(score, schedule, x_t, s, t, noise)
    kick = x_s - euler_maruyama_step(score, schedule, x_t, s, t, torch.zeros_like(noise))
    backwards = schedule.drift(s) * x_s - schedule.diffusion_sq(s) * score(x_s, s)
    return (x_t + x_s - backwards * (t - s) + kick) / 2


def _number(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, allow_infinity=False)


@st.composite
def moderate_times(draw: Any, low: float, high: float, least: float, most: float) -> TimePair:
    """Times of log-SNR from low to high that differ by least to most: errors far above rounding."""
    chosen = draw(model_strategies.smooth())
    ends = log_snr_range(chosen)
    width = draw(_number(least, most))
    later = draw(_number(max(ends[0], low), min(ends[1], high) - width))
    t, s = (chosen.time_of(as_time(x)).item() for x in (later, later + width))
    return TimePair(chosen, s, t)


CASES = st.builds(
    LineCase,
    _number(-2.0, 2.0),
    _number(0.3, 1.2),
    moderate_times(-3.0, 1.0, 0.5, 1.0),
    _number(-3.0, 3.0),
)
MIXTURES = strategies.reverse_cases(
    1, reach=1.0, least=0.5, most=1.5, pairs=moderate_times(-1.5, 0.5, 0.02, 0.04)
)

ROOT_DRIFT, ROOT_NOISE = _perturbed(drift=True), _perturbed(noise=True)

CLAIMS = (
    ExactClaim(
        "weak-slope", "1", "mean and variance of Euler-Maruyama: log2 of error ratios is 1", CASES,
        weak_order_error,
        (
            Mutant("weak-root-drift", lambda c: weak_order_error(c, ROOT_DRIFT)),
            Mutant("weak-root-noise", lambda c: weak_order_error(c, ROOT_NOISE)),
        ),
    ),
    ExactClaim(
        "strong-slope", "1", "additive noise: log2 of the strong error's ratios is 1", CASES,
        strong_order_error,
        (
            Mutant("strong-root-drift", lambda c: strong_order_error(c, ROOT_DRIFT)),
            Mutant("strong-root-noise", lambda c: strong_order_error(c, ROOT_NOISE)),
        ),
    ),
    ExactClaim(
        "drift-slope", "1", "the chain's drift of M is C/n, C in closed form", CASES,
        drift_order_error,
        (
            Mutant("drift-root", lambda c: drift_order_error(c, ROOT_DRIFT)),
            Mutant("drift-order-two", lambda c: drift_order_error(c, heun_step)),
            Mutant("drift-first-term", lambda c: drift_order_error(
                c, constant=lambda c: drift_constant(c, squared=0.0))),
        ),
    ),
    ExactClaim(
        "mixture-slope", "1", "moments and drift of M along a mixture's chain: order 1",
        MIXTURES, mixture_order_error,
        (
            Mutant("mixture-root-drift", lambda c: mixture_order_error(c, ROOT_DRIFT)),
            Mutant("mixture-root-noise", lambda c: mixture_order_error(c, ROOT_NOISE)),
        ),
        share=0.1,
    ),
)  # fmt: skip
