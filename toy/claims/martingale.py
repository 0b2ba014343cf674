"""The martingale alpha_t grad log q_t and its neighbours, by quadrature and in closed form."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from scipy.optimize import brentq
from scipy.stats import norm
from torch import Tensor

from toy.judge.claim import ExactClaim, Mutant
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture
from toy.numerics.quadrature import expectation
from toy.strategies import mixtures as strategies
from toy.strategies.extremes import ExtremeCase
from toy.strategies.mixtures import AtomicCase, ReverseCase

Process = Callable[[Diffusion, Tensor, float], Tensor]
Kernel = Callable[[Diffusion, Tensor, float, float], GaussianMixture]


def kernel_expectation_error(
    case: ReverseCase | AtomicCase | ExtremeCase,
    process: Process = Diffusion.martingale,
    kernel: Kernel = Diffusion.reverse_kernel,
) -> float:
    """|E[M_s(x_s)|x_t] - M_t(x_t)| relative to E[|M_s||x_t], by quadrature over the kernel."""
    diffusion, s, t, x_t = case.diffusion, case.times.s, case.times.t, case.x_t()
    integral = expectation(kernel(diffusion, x_t, s, t), lambda x: process(diffusion, x, s))
    return relative(integral.value - process(diffusion, x_t, t), integral.magnitude)


def forward_expectation_error(case: ReverseCase) -> float:
    """The same with the directions exchanged: E[M_t(x_t)|x_s] - M_s(x_s), from x_s = case.x_t()."""
    diffusion, s, t, x_s = case.diffusion, case.times.s, case.times.t, case.x_t()
    a, v = diffusion.transition(s, t)
    one = torch.ones(1, dtype=torch.float64)
    law = GaussianMixture.diagonal(one, a * x_s[None], v * one)
    integral = expectation(law, lambda x: diffusion.martingale(x, t))
    return relative(integral.value - diffusion.martingale(x_s, s), integral.magnitude)


def ode_error(case: ReverseCase) -> float:
    """M along the probability-flow ODE, which in one dimension keeps the distribution function."""
    diffusion, s, t, x_t = case.diffusion, case.times.s, case.times.t, case.x_t()
    level = _distribution(diffusion.marginal(t), x_t.item())
    law = diffusion.marginal(s)
    spread = 12 * law.variances.sqrt()
    low, high = (law.means - spread).min().item(), (law.means + spread).max().item()
    x_s = brentq(lambda x: _distribution(law, x) - level, low, high, xtol=1e-13)
    m_s = diffusion.martingale(torch.tensor([x_s], dtype=torch.float64), s)
    return relative(m_s - diffusion.martingale(x_t, t), m_s.abs())


def _distribution(law: GaussianMixture, x: float) -> float:
    z = ((x - law.means) / law.variances.sqrt())[:, 0]
    return float(torch.exp(law.log_weights).numpy() @ norm.cdf(z.numpy()))


def zero_mean_error(
    case: ReverseCase, law_time: Callable[[ReverseCase], float] = lambda c: c.times.t
) -> float:
    """|E_{q_t} M_t| relative to E|M_t|."""
    diffusion, t = case.diffusion, case.times.t
    integral = expectation(diffusion.marginal(law_time(case)), lambda x: diffusion.martingale(x, t))
    return relative(integral.value, integral.magnitude)


def bayes_error(case: ReverseCase, kernel: Kernel = Diffusion.reverse_kernel) -> float:
    """log of q_s(x_s) N(x_t; A x_s, V) = q_t(x_t) q(x_s|x_t), at the point x_s = 0 and beyond."""
    diffusion, s, t, x_t = case.diffusion, case.times.s, case.times.t, case.x_t()
    a, v = diffusion.transition(s, t)
    x_s = x_t / a + torch.tensor([[0.0], [1.0]], dtype=torch.float64) * v**0.5
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
    """Tweedie: E[x_0|x_t] = (x_t + sigma^2 grad log q_t)/alpha, against conditioning the components.

    Relative to x_t and to what the components' scores add up to.
    """
    diffusion, t, x_t = case.diffusion, case.times.t, case.x_t()
    alpha_t, sigma_t = diffusion.scales(t)
    law = diffusion.marginal(t)
    scores = law.responsibilities(x_t) @ law.component_scores(x_t).abs()
    scale = (x_t.abs() + sigma_t**2 * scores) / alpha_t
    by_tweedie = (x_t + sigma_t**power * law.score(x_t)) / alpha_t
    return relative(by_tweedie - diffusion.posterior_mean(x_t, t), scale)


def relative(difference: Tensor, scale: Tensor) -> float:
    """Largest difference relative to the largest scale."""
    return (difference.abs().max() / scale.max().clamp(min=torch.finfo(scale.dtype).tiny)).item()


def _score(diffusion: Diffusion, x: Tensor, t: float) -> Tensor:
    return diffusion.marginal(t).score(x)


def _component_probability(diffusion: Diffusion, x: Tensor, t: float) -> Tensor:
    return diffusion.marginal(t).responsibilities(x)


def _equal_weights(diffusion: Diffusion, x: Tensor, t: float) -> Tensor:
    law = diffusion.marginal(t)
    return torch.softmax(law.log_components(x) - law.log_weights, -1)


def _log_probability(diffusion: Diffusion, x: Tensor, t: float) -> Tensor:
    return torch.log_softmax(diffusion.marginal(t).log_components(x), -1)


def _unscaled_denoiser(diffusion: Diffusion, x: Tensor, t: float) -> Tensor:
    return diffusion.scales(t)[0] * diffusion.posterior_mean(x, t)


def _alpha_squared(diffusion: Diffusion, x: Tensor, t: float) -> Tensor:
    return diffusion.scales(t)[0] * diffusion.martingale(x, t)


def _sigma_for_alpha(diffusion: Diffusion, x: Tensor, t: float) -> Tensor:
    return diffusion.scales(t)[1] * _score(diffusion, x, t)


def _prior_weights(diffusion: Diffusion, x_t: Tensor, s: float, t: float) -> GaussianMixture:
    kernel = diffusion.reverse_kernel(x_t, s, t)
    return replace(kernel, log_weights=diffusion.data.log_weights.expand(kernel.log_weights.shape))


def _forward_variance(diffusion: Diffusion, x_t: Tensor, s: float, t: float) -> GaussianMixture:
    kernel = diffusion.reverse_kernel(x_t, s, t)
    variance = torch.full_like(kernel.variances, diffusion.transition(s, t)[1])
    return replace(kernel, variances=variance)


def _gain_without_a(diffusion: Diffusion, x_t: Tensor, s: float, t: float) -> GaussianMixture:
    kernel, a = diffusion.reverse_kernel(x_t, s, t), diffusion.transition(s, t)[0]
    start = diffusion.marginal(s).means
    return replace(kernel, means=start + (kernel.means - start) / a)


LINE = strategies.reverse_cases(1, reach=10.0, least=0.05)
PLANE = strategies.reverse_cases(2, reach=4.0, least=0.3)
SPACE = strategies.reverse_cases(3, reach=4.0, least=0.1)
CUBE = strategies.reverse_cases(3, reach=1.0, least=0.9, most=1.1)
"""Where a grid in three dimensions is small enough."""

CLAIMS = (
    ExactClaim(
        "martingale-1d", "1", "E[M_s(x_s)|x_t] = M_t(x_t), by quadrature", LINE,
        kernel_expectation_error,
        (
            Mutant("no-alpha", lambda c: kernel_expectation_error(c, _score)),
            Mutant("alpha-squared", lambda c: kernel_expectation_error(c, _alpha_squared)),
            Mutant("sigma-for-alpha", lambda c: kernel_expectation_error(c, _sigma_for_alpha)),
            Mutant("forward-direction", forward_expectation_error),
            Mutant("ode-for-sde", ode_error),
            Mutant("prior-weights", lambda c: kernel_expectation_error(c, kernel=_prior_weights)),
            Mutant("forward-variance", lambda c: kernel_expectation_error(c, kernel=_forward_variance)),
        ),
    ),
    ExactClaim(
        "martingale-2d", "1", "E[M_s(x_s)|x_t] = M_t(x_t), full covariances", PLANE,
        kernel_expectation_error,
        (
            Mutant("no-alpha-2d", lambda c: kernel_expectation_error(c, _score)),
            Mutant("gain-without-A", lambda c: kernel_expectation_error(c, kernel=_gain_without_a)),
        ),
    ),
    ExactClaim(
        "martingale-3d", "1", "E[M_s(x_s)|x_t] = M_t(x_t), all three coordinates", CUBE,
        kernel_expectation_error,
        (Mutant("sigma-for-alpha-3d", lambda c: kernel_expectation_error(c, _sigma_for_alpha)),),
        share=0.5,
    ),
    ExactClaim(
        "zero-mean", "1", "E M_t = 0 under q_t", LINE, zero_mean_error,
        (Mutant("mean-under-q_s", lambda c: zero_mean_error(c, lambda c: c.times.s)),),
    ),
    ExactClaim(
        "reverse-kernel", "0", "q(x_s|x_t) satisfies Bayes' rule, d = 3", SPACE, bayes_error,
        (
            Mutant("kernel-prior-weights", lambda c: bayes_error(c, _prior_weights)),
            Mutant("kernel-forward-variance", lambda c: bayes_error(c, _forward_variance)),
        ),
    ),
    ExactClaim(
        "posterior-mean", "9", "E[x_0|x_t] = (x_t + sigma^2 score)/alpha, d = 3", SPACE,
        posterior_mean_error,
        (Mutant("sigma-for-sigma-squared", lambda c: posterior_mean_error(c, power=1)),),
    ),
    ExactClaim(
        "posterior-mean-1d", "9", "E[E[x_0|x_s] | x_t] = E[x_0|x_t]", LINE,
        lambda c: kernel_expectation_error(c, Diffusion.posterior_mean),
        (
            Mutant("noise-for-data", lambda c: kernel_expectation_error(c, Diffusion.noise_prediction)),
            Mutant("mean-times-alpha", lambda c: kernel_expectation_error(c, _unscaled_denoiser)),
        ),
    ),
    ExactClaim(
        "components-1d", "9", "E[P(k|x_s)|x_t] = P(k|x_t)", LINE,
        lambda c: kernel_expectation_error(c, _component_probability),
        (
            Mutant("equal-weights", lambda c: kernel_expectation_error(c, _equal_weights)),
            Mutant("log-probability", lambda c: kernel_expectation_error(c, _log_probability)),
        ),
    ),
    ExactClaim(
        "components-2d", "9", "E[P(k|x_s)|x_t] = P(k|x_t), full covariances", PLANE,
        lambda c: kernel_expectation_error(c, _component_probability),
        (Mutant("components-prior-weights", lambda c: kernel_expectation_error(
            c, _component_probability, _prior_weights)),),
    ),
    ExactClaim(
        "components-3d", "9", "E[P(k|x_s)|x_t] = P(k|x_t), d = 3", CUBE,
        lambda c: kernel_expectation_error(c, _component_probability),
        (Mutant("log-probability-3d", lambda c: kernel_expectation_error(c, _log_probability)),),
        share=0.5,
    ),
)  # fmt: skip
