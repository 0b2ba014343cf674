"""The martingale alpha_t grad log q_t and its neighbours, by quadrature and in closed form."""

import math
from collections.abc import Callable
from functools import partial

import torch
from scipy.optimize import brentq
from scipy.stats import norm
from torch import Tensor

from toy.claims.mistakes import forward_variance, gain_without_a, prior_weights
from toy.judge.claim import exact_claim
from toy.mixtures.diffusion import Diffusion, Kernel, Process
from toy.mixtures.mixture import GaussianMixture, float64
from toy.numerics.quadrature import MAX_POINTS, expectation
from toy.numerics.relative_errors import relative_error
from toy.strategies.extremes import ExtremeCase
from toy.strategies.mixtures import LINE, PLANE, SPACE, AtomicCase, ReverseCase, reverse_cases


def kernel_expectation_error(
    case: ReverseCase | AtomicCase | ExtremeCase,
    process: Process = Diffusion.martingale,
    kernel: Kernel = Diffusion.reverse_kernel,
    most: int = MAX_POINTS,
) -> float:
    """|E[M_s(x_s)|x_t] - M_t(x_t)| relative to E[|M_s||x_t], by quadrature over the kernel.

    Args:
        case: the diffusion, the times and x_t.
        process: M.
        kernel: the law of x_s given x_t.
        most: points of the quadrature. A wrong kernel may never settle: what takes more than this does
            not count as a mistake that was caught.
    """
    diffusion, s, t, x_t = case.diffusion, case.times.s, case.times.t, case.x_t()
    law = kernel(diffusion, x_t, s, t)
    integral = expectation(law, lambda x: process(diffusion, x, s), most=most)
    return relative_error(integral.value - process(diffusion, x_t, t), integral.magnitude)


def forward_expectation_error(case: ReverseCase) -> float:
    """The mistake of the other direction: |E[M_t(x_t)|x_s] - M_s(x_s)|, from x_s = case.x_t()."""
    diffusion, s, t, x_s = case.diffusion, case.times.s, case.times.t, case.x_t()
    a, v = diffusion.transition(s, t)
    one = torch.ones(1, dtype=torch.float64)
    law = GaussianMixture.diagonal(one, a * x_s[None], v * one)
    integral = expectation(law, lambda x: diffusion.martingale(x, t))
    return relative_error(integral.value - diffusion.martingale(x_s, s), integral.magnitude)


def flow_error(case: ReverseCase) -> float:
    """The mistake of the ODE for the SDE: |M_s(x_s) - M_t(x_t)| along the probability flow.

    In one dimension the flow keeps the value of the distribution function.
    """
    diffusion, s, t, x_t = case.diffusion, case.times.s, case.times.t, case.x_t()
    level = _distribution(diffusion.marginal(t), x_t.item())
    law = diffusion.marginal(s)
    spread = 12 * law.variances.sqrt()
    low, high = (law.means - spread).min().item(), (law.means + spread).max().item()
    x_s = brentq(lambda x: _distribution(law, x) - level, low, high, xtol=1e-13)
    m_s = diffusion.martingale(float64([x_s]), s)
    return relative_error(m_s - diffusion.martingale(x_t, t), m_s.abs())


def _distribution(law: GaussianMixture, x: float) -> float:
    z = ((x - law.means) / law.variances.sqrt())[:, 0]
    return float(torch.exp(law.log_weights).numpy() @ norm.cdf(z.numpy()))


def zero_mean_error(
    case: ReverseCase, law_time: Callable[[ReverseCase], float] = lambda c: c.times.t
) -> float:
    """|E_{q_t} M_t| relative to E|M_t|."""
    diffusion, t = case.diffusion, case.times.t
    integral = expectation(diffusion.marginal(law_time(case)), lambda x: diffusion.martingale(x, t))
    return relative_error(integral.value, integral.magnitude)


def kernel_bayes_error(case: ReverseCase, kernel: Kernel = Diffusion.reverse_kernel) -> float:
    """Bayes' rule: log of q_s(x_s) N(x_t; A x_s, V) = q_t(x_t) q(x_s|x_t), at two points x_s."""
    diffusion, s, t, x_t = case.diffusion, case.times.s, case.times.t, case.x_t()
    a, v = diffusion.transition(s, t)
    x_s = x_t / a + float64([[0.0], [1.0]]) * v**0.5
    step = -((x_t - a * x_s) ** 2 / v + math.log(2 * math.pi * v)).sum(-1) / 2
    parts = (
        diffusion.marginal(s).log_density(x_s),
        step,
        -diffusion.marginal(t).log_density(x_t).expand(2),
        -kernel(diffusion, x_t, s, t).log_density(x_s),
    )
    scale = torch.stack(parts).abs().sum(0) + _conditioning(diffusion, s, x_s)
    return (torch.stack(parts).sum(0).abs() / scale).max().item()


def _conditioning(diffusion: Diffusion, s: float, x_s: Tensor) -> Tensor:
    law = diffusion.marginal(s)
    return ((x_s.abs().amax(-1) + law.means.abs().max()) ** 2 / law.variances.min()).clamp(min=1)


def posterior_mean_error(case: ReverseCase | ExtremeCase, power: int = 2) -> float:
    """Tweedie's E[x_0|x_t] = (x_t + sigma^2 grad log q_t)/alpha, against conditioning the components.

    Relative to x_t and to the sum of the components' scores.
    """
    diffusion, t, x_t = case.diffusion, case.times.t, case.x_t()
    alpha_t, sigma_t = diffusion.scales(t)
    law = diffusion.marginal(t)
    scores = law.responsibilities(x_t) @ law.component_scores(x_t).abs()
    scale = (x_t.abs() + sigma_t**2 * scores) / alpha_t
    by_tweedie = (x_t + sigma_t**power * law.score(x_t)) / alpha_t
    return relative_error(by_tweedie - diffusion.posterior_mean(x_t, t), scale)


def _equal_weights(diffusion: Diffusion, x: Tensor, t: float) -> Tensor:
    law = diffusion.marginal(t)
    return torch.softmax(law.log_components(x) - law.log_weights, -1)


def _log_probability(diffusion: Diffusion, x: Tensor, t: float) -> Tensor:
    return torch.log_softmax(diffusion.marginal(t).log_components(x), -1)


CUBE = reverse_cases(3, reach=1.0, least=0.9, most=1.1)
"""Mixtures for which a grid in three dimensions is small enough."""

posterior_mean_martingale_error = partial(
    kernel_expectation_error, process=Diffusion.posterior_mean
)
component_error = partial(kernel_expectation_error, process=Diffusion.component_probabilities)

CLAIMS = (
    exact_claim(
        "martingale-1d", "1", "E[M_s(x_s)|x_t] = M_t(x_t), by quadrature", LINE,
        kernel_expectation_error,
        process={
            "no-alpha": Diffusion.score,
            "alpha-squared": lambda of, x, t: of.scales(t)[0] * of.martingale(x, t),
            "sigma-for-alpha": lambda of, x, t: of.scales(t)[1] * of.score(x, t),
        },
        instead={"forward-direction": forward_expectation_error, "ode-for-sde": flow_error},
        kernel={"prior-weights": prior_weights, "forward-variance": forward_variance},
    ),
    exact_claim(
        "martingale-2d", "1", "E[M_s(x_s)|x_t] = M_t(x_t), full covariances", PLANE,
        kernel_expectation_error, process={"no-alpha-2d": Diffusion.score},
        kernel={"gain-without-A": gain_without_a},
    ),
    exact_claim(
        "martingale-3d", "1", "E[M_s(x_s)|x_t] = M_t(x_t), all three coordinates", CUBE,
        kernel_expectation_error,
        process={"sigma-for-alpha-3d": lambda of, x, t: of.scales(t)[1] * of.score(x, t)},
        share=0.5,
    ),
    exact_claim(
        "zero-mean", "1", "E M_t = 0 under q_t", LINE, zero_mean_error,
        law_time={"mean-under-q_s": lambda c: c.times.s},
    ),
    exact_claim(
        "reverse-kernel", "0", "q(x_s|x_t) satisfies Bayes' rule, d = 3", SPACE, kernel_bayes_error,
        kernel={"kernel-prior-weights": prior_weights, "kernel-forward-variance": forward_variance},
    ),
    exact_claim(
        "posterior-mean", "9", "E[x_0|x_t] = (x_t + sigma^2 score)/alpha, d = 3", SPACE,
        posterior_mean_error, power={"sigma-for-sigma-squared": 1},
    ),
    exact_claim(
        "posterior-mean-1d", "9", "E[E[x_0|x_s] | x_t] = E[x_0|x_t]", LINE,
        posterior_mean_martingale_error,
        process={
            "noise-for-data": Diffusion.noise_prediction,
            "mean-times-alpha": lambda of, x, t: of.scales(t)[0] * of.posterior_mean(x, t),
        },
    ),
    exact_claim(
        "components-1d", "9", "E[P(k|x_s)|x_t] = P(k|x_t)", LINE, component_error,
        process={"equal-weights": _equal_weights, "log-probability": _log_probability},
    ),
    exact_claim(
        "components-2d", "9", "E[P(k|x_s)|x_t] = P(k|x_t), full covariances", PLANE,
        component_error, kernel={"components-prior-weights": prior_weights},
    ),
    exact_claim(
        "components-3d", "9", "E[P(k|x_s)|x_t] = P(k|x_t), d = 3", CUBE, component_error,
        process={"log-probability-3d": _log_probability}, share=0.5,
    ),
)  # fmt: skip
