"""Euler-Maruyama against the exact reverse process of one Gaussian, without sampling.

For data N(m, v) the score is affine, so the chain is linear in x_t and in its noises: its mean, its
variance and its difference from the exact process driven by the same Brownian motion are sums over
steps. With c = alpha^2 v + sigma^2, A = alpha_t/alpha_s and w-bar the reverse Brownian motion,

    x_s - alpha_s m = Phi(s, t) (x_t - alpha_t m) + int_s^t Phi(s, r) g_r dw-bar_r,
    Phi(s, t) = A c_s / c_t,

while a step from t to r multiplies by 1 - h (f + g^2/c) and adds sqrt(h) g times its noise. The
chain itself is run by ``theory.diffusion.euler_maruyama``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from theory.diffusion.euler_maruyama import Score, euler_maruyama_step
from theory.diffusion.schedules import Schedule
from toy.judge.claim import exact_claim
from toy.mixtures.mixture import float64
from toy.numerics.gauss_rules import extrapolated, gauss_legendre
from toy.numerics.relative_errors import largest
from toy.strategies.gaussians import GAUSSIAN_CHAIN_CASES, GaussianChainCase

Step = Callable[..., Tensor]
"""From score, schedule, x_t, s, t and noise to x_s, as ``euler_maruyama_step``."""

REFINEMENTS = tuple(8 * 2**k for k in range(7))
"""Numbers of steps."""


@dataclass(frozen=True)
class Chain:
    """x_s = offset + gain x_t + sum_i weights_i noise_i, for standard normal noises."""

    offset: float
    gain: float
    weights: Tensor


def chain(case: GaussianChainCase, steps: int, step: Step = euler_maruyama_step) -> Chain:
    """The chain of so many equal steps from t to s, as an affine function of x_t and its noises.

    Each step is affine in x and in its noise, with coefficients from x = 0, x = 1 and a unit noise.
    """
    schedule = case.times.schedule
    times = torch.linspace(case.times.t, case.times.s, steps + 1, dtype=torch.float64)[:, None]
    x = float64([[0.0, 1.0, 0.0]])
    noise = float64([[0.0, 0.0, 1.0]])
    zero, one, kicked = step(case.score, schedule, x, times[1:], times[:-1], noise).T
    gains = one - zero
    after = torch.cat([gains.flip(0).cumprod(0).flip(0)[1:], torch.ones(1, dtype=torch.float64)])
    return Chain((after @ zero).item(), gains.prod().item(), after * (kicked - zero))


def exact_kernel(case: GaussianChainCase) -> tuple[float, float, float]:
    """(offset, gain, variance) of the exact kernel from t to s."""
    (alpha, c), ends = case.ends(), float64([case.times.s, case.times.t])
    a, v = case.times.schedule.transition(*ends)
    gain = (a * c[0] / c[1]).item()
    return case.mean * (alpha[0].item() - gain * alpha[1].item()), gain, (v * c[0] / c[1]).item()


def weak_limit_error(case: GaussianChainCase, step: Step = euler_maruyama_step) -> float:
    """Limits of the mean and the variance from x_t over 8, 16, ... steps, against the exact kernel's."""
    chains = [chain(case, n, step) for n in REFINEMENTS]
    moments = [
        [c.offset for c in chains],
        [c.gain for c in chains],
        [(c.weights @ c.weights).item() for c in chains],
    ]
    alpha, _ = case.ends()
    offset, gain, variance = exact_kernel(case)
    sizes = ((1 + gain) * (1 + abs(case.mean)) * alpha.max().item(), gain, variance)
    return largest(
        abs(extrapolated(values) - target) / size
        for values, target, size in zip(moments, (offset, gain, variance), sizes, strict=True)
    )


def strong_distance_sq(
    case: GaussianChainCase, steps: int, step: Step = euler_maruyama_step
) -> float:
    """E|x_s - exact x_s|^2 on shared noise, from x_t.

    The weight of the noise is constant over a step; that of the exact process is Phi(s, r) g_r.
    """
    schedule, (s, t) = case.times.schedule, (case.times.s, case.times.t)
    discrete, (offset, gain, _) = chain(case, steps, step), exact_kernel(case)
    length = (t - s) / steps
    nodes, weights = gauss_legendre(4)
    starts = t - length * torch.arange(steps, dtype=torch.float64)
    times = starts[:, None] - length * (1 + nodes) / 2
    kernel = case.propagator(times) * schedule.diffusion_sq(times).sqrt()
    difference = discrete.weights[:, None] / length**0.5 - kernel
    noise = ((difference**2 @ weights).sum() * length / 2).item()
    return noise + (discrete.offset - offset + (discrete.gain - gain) * case.x_t()) ** 2


def strong_limit_error(case: GaussianChainCase, step: Step = euler_maruyama_step) -> float:
    """Strong order 1: the squared distance is a series in the step h without its terms h^0 and h^1.

    The squared distance and its product with the number of steps are extrapolated to h = 0.
    """
    squares = [strong_distance_sq(case, n, step) for n in REFINEMENTS]
    over_h = [n * square for n, square in zip(REFINEMENTS, squares, strict=True)]
    _, c = case.ends()
    size = c.max().item() * (1 + case.offset**2)
    return largest([abs(extrapolated(squares)), abs(extrapolated(over_h))]) / size


def drift_limit_error(case: GaussianChainCase, step: Step = euler_maruyama_step) -> float:
    """The limit of E[M_s(x_s)|x_t] - M_t(x_t) along the chain, which is zero.

    M_s is affine in x_s, so that its mean needs the chain's mean alone.
    """
    (alpha, c), x_t = case.ends(), case.x_t()

    def scaled_score(x: float, k: int) -> float:
        """M at s (k = 0) or at t (k = 1)."""
        return (-alpha[k] * (x - alpha[k] * case.mean) / c[k]).item()

    chains = [chain(case, n, step) for n in REFINEMENTS]
    drifts = [scaled_score(c.offset + c.gain * x_t, 0) - scaled_score(x_t, 1) for c in chains]
    size = (alpha / c.sqrt()).max().item() * (1 + abs(case.offset))
    size += (alpha**2 / c).max().item() * abs(case.mean)
    return abs(extrapolated(drifts)) / size


def _step(
    score_share: float = 1.0, linear_share: float = 1.0, score_power: int = 2, noise_power: int = 1
) -> Step:
    """A step with shares of the score and of the linear drift, and with g to other powers."""

    def step(
        score: Score, schedule: Schedule, x_t: Tensor, s: Tensor, t: Tensor, noise: Tensor
    ) -> Tensor:
        """Args: as ``Step``."""
        f, g, length = schedule.drift(t), schedule.diffusion_sq(t).sqrt(), t - s
        drift = linear_share * f * x_t - score_share * g**score_power * score(x_t, t)
        return x_t - drift * length + g**noise_power * length.sqrt() * noise

    return step


ODE_DRIFT, NO_DRIFT = _step(score_share=0.5), _step(linear_share=0.0)
DRIFT_OF_G, G_SQUARED_NOISE = _step(score_power=1), _step(noise_power=2)

CLAIMS = (
    exact_claim(
        "weak-order", "1", "Euler-Maruyama's moments tend to the exact kernel's, in powers of h",
        GAUSSIAN_CHAIN_CASES, weak_limit_error,
        step={
            "g-for-g-squared-drift": DRIFT_OF_G, "ode-drift-sde-noise": ODE_DRIFT,
            "g-squared-noise": G_SQUARED_NOISE, "linear-drift-forgotten": NO_DRIFT,
        },
    ),
    exact_claim(
        "strong-order", "1", "Euler-Maruyama has strong order 1 on shared noise",
        GAUSSIAN_CHAIN_CASES, strong_limit_error,
        step={
            "noise-not-shared": lambda score, schedule, x, s, t, noise: euler_maruyama_step(
                score, schedule, x, s, t, -noise),
            "strong-ode-drift": ODE_DRIFT, "strong-g-squared-noise": G_SQUARED_NOISE,
        },
    ),
    exact_claim(
        "chain-martingale", "1", "the drift of M along the discretized chain vanishes with h",
        GAUSSIAN_CHAIN_CASES, drift_limit_error,
        step={"chain-ode-drift": ODE_DRIFT, "chain-g-for-g-squared": DRIFT_OF_G},
    ),
)  # fmt: skip
