"""Calibration, the tower and the posterior where mixtures are hard to compute (``toy.strategies.extremes``).

On the line by quadrature. In the plane, with covariances whose axes differ by up to 1e8, in two steps
in each component's eigenbasis, about its own mean. By Bayes' rule, at any x_s,

    w_k N_k(x_s) N(x_t; A x_s, V) = P(k|x_t) q_t(x_t) N(x_s; kernel of component k),

so that E[P(k|x_s) h_k(x_s)|x_t] = P(k|x_t) E_k[h_k(x_s)] over the kernel's component; and for a
derivative h_k = (d^n N_k)/N_k that is A^n h_k(x_t), by Gauss and Hermite's rule, which is exact. The
mixture's tower is the sum of these over k.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from toy.claims.calibration import eta_error, loss_fall_error
from toy.claims.martingale import Kernel, kernel_expectation_error, posterior_mean_error
from toy.claims.tower import data_shift, nodes, orders_error, translation_error
from toy.judge.claim import ExactClaim, Mutant
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture
from toy.mixtures.planted_error import Misfit
from toy.mixtures.tower import component_tower, tower_martingale
from toy.numerics.quadrature import expectation
from toy.strategies import extremes
from toy.strategies.extremes import ExtremeCase


def posterior_error(
    case: ExtremeCase,
    of: Callable[[GaussianMixture, Tensor], Tensor] = GaussianMixture.responsibilities,
) -> float:
    """|E[P(k|x_s)|x_t] - P(k|x_t)|, each component relative to itself, down to 1e-12."""
    diffusion, s, t, x_t = case.diffusion, case.times.s, case.times.t, case.x_t()
    earlier, later = diffusion.marginal(s), of(diffusion.marginal(t), x_t)
    unit = later.clamp(min=1e-12)
    integral = expectation(
        diffusion.reverse_kernel(x_t, s, t), lambda x: of(earlier, x) / unit, size=1.0
    )
    left = (integral.value - later / unit).abs() + integral.errors
    return (left / integral.magnitude.clamp(min=1.0)).max().item()


def bayes_error(case: ExtremeCase, kernel: Kernel = Diffusion.reverse_kernel) -> float:
    """Logarithm of Bayes' rule for every component, a deviation beside its kernel's mean.

    Relative to its terms, and to what one part in x_t - alpha_t m_k makes of them.
    """
    own, z_t = _about_own_means(case)
    s, t = case.times.s, case.times.t
    earlier, later = own.marginal(s).variances, own.marginal(t).variances
    a, v = own.transition(s, t)
    means, spread = _own_kernels(kernel(own, z_t, s, t))
    z_s = means + spread.sqrt()
    squares = torch.stack(
        [z_s**2 / earlier, (z_t - a * z_s) ** 2 / v, -(z_t**2) / later, -torch.ones_like(z_t)]
    )
    logs = torch.log(torch.stack([earlier, torch.full_like(z_t, v), 1 / later, 1 / spread]))
    lost = (z_t.abs() + a * z_s.abs()) ** 2 / v
    size = squares.abs().sum(0) + logs.abs().sum(0) + lost + 1
    return ((squares + logs).sum(0).abs() / size).max().item()


def component_tower_error(
    case: ExtremeCase,
    power: Callable[[int], int] = lambda order: order,
    kernel: Kernel = Diffusion.reverse_kernel,
) -> float:
    """|E_k[h_k(x_s)] - A^n h_k(x_t)| relative to E_k|h_k|, every component, multi-index and order."""
    own, z_t = _about_own_means(case)
    s, t = case.times.s, case.times.t
    ratio = own.transition(s, t)[0]
    means, spread = _own_kernels(kernel(own, z_t, s, t))
    x_s, weights = nodes(GaussianMixture(own.data.log_weights, means, spread))

    def error(order: int) -> float:
        earlier, later = (
            component_tower(own.marginal(r), x, order).diagonal(dim1=-3, dim2=-2).mT
            for r, x in ((s, x_s), (t, z_t))
        )
        mean, size = (torch.einsum("n,nkm->km", weights, h) for h in (earlier, earlier.abs()))
        return ((mean - ratio ** power(order) * later).abs() / size.clamp(min=1e-300)).max().item()

    return max(map(error, (1, 2, 3)))


def _about_own_means(case: ExtremeCase) -> tuple[Diffusion, Tensor]:
    """The diffusion with each component in its eigenbasis about its mean, and x_t there, (K, d)."""
    data = case.diffusion.data
    own = GaussianMixture(data.log_weights, 0 * data.means, data.variances)
    z_t = case.diffusion.marginal(case.times.t).centred(case.x_t())
    return Diffusion(own, case.times.schedule), z_t


def _own_kernels(kernels: GaussianMixture) -> tuple[Tensor, Tensor]:
    """Means and variances (K, d) of the k-th component from the k-th point."""
    return kernels.means.diagonal(dim1=0, dim2=1).T, kernels.variances


def _raw_mean(model: Misfit, t: float) -> Tensor:
    return model.eta(t) + model.diffusion.target_size(model.target, t)


def _equal_weights(law: GaussianMixture, x: Tensor) -> Tensor:
    return torch.softmax(law.log_components(x) - law.log_weights, -1)


def _one_power_less(diffusion: Diffusion, x: Tensor, t: float, order: int) -> Tensor:
    return tower_martingale(diffusion, x, t, order) / diffusion.scales(t)[0]


def _gain_without_a(diffusion: Diffusion, x_t: Tensor, s: float, t: float) -> GaussianMixture:
    kernel = diffusion.reverse_kernel(x_t, s, t)
    return replace(kernel, means=kernel.means / diffusion.transition(s, t)[0])


def _forward_variance(diffusion: Diffusion, x_t: Tensor, s: float, t: float) -> GaussianMixture:
    kernel = diffusion.reverse_kernel(x_t, s, t)
    return replace(
        kernel, variances=torch.full_like(kernel.variances, diffusion.transition(s, t)[1])
    )


def _unscaled(diffusion: Diffusion, h: Tensor, t: float) -> Tensor:
    return data_shift(diffusion, h, t) / diffusion.scales(t)[0]


LINE, PLANE = extremes.extreme_cases(1), extremes.extreme_cases(2)
MODELS, SHIFTED = extremes.extreme_models(), extremes.shifted_extremes()

CLAIMS = (
    ExactClaim(
        "extreme-eta", "4", "eta = E[y_theta] - A E[x_0] at the extremes", MODELS, eta_error,
        (
            Mutant("extreme-eta-at-s", lambda c: eta_error(c, lambda model, t: model.eta(c.times.s))),
            Mutant("extreme-raw-mean", lambda c: eta_error(c, _raw_mean)),
        ),
    ),
    ExactClaim(
        "extreme-loss-fall", "4", "the loss falls by 2 c.eta - |c|^2 at the extremes", MODELS,
        loss_fall_error,
        (
            Mutant("extreme-half-fall", lambda c: loss_fall_error(
                c, lambda eta, c: c * eta - c**2 / 2)),
            Mutant("extreme-no-penalty", lambda c: loss_fall_error(c, lambda eta, c: 2 * c * eta)),
        ),
    ),
    ExactClaim(
        "extreme-posterior-mean", "9", "E[x_0|x_t] = (x_t + sigma^2 score)/alpha at the extremes",
        LINE, posterior_mean_error,
        (Mutant("extreme-sigma", lambda c: posterior_mean_error(c, power=1)),),
    ),
    ExactClaim(
        "extreme-posterior-mean-2d", "9", "the same with near-singular covariances", PLANE,
        posterior_mean_error,
        (Mutant("extreme-sigma-2d", lambda c: posterior_mean_error(c, power=1)),),
    ),
    ExactClaim(
        "extreme-mean-martingale", "9", "E[E[x_0|x_s]|x_t] = E[x_0|x_t] at the extremes", LINE,
        lambda c: kernel_expectation_error(c, Diffusion.posterior_mean),
        (Mutant("extreme-noise-for-data", lambda c: kernel_expectation_error(
            c, Diffusion.noise_prediction)),),
    ),
    ExactClaim(
        "extreme-components", "9", "E[P(k|x_s)|x_t] = P(k|x_t), of 1e-12 each by itself", LINE,
        posterior_error,
        (Mutant("extreme-equal-weights", lambda c: posterior_error(c, _equal_weights)),),
    ),
    ExactClaim(
        "extreme-tower", "9", "alpha^n q^(n)/q, n = 2 and 3, at the extremes", LINE, orders_error,
        (Mutant("extreme-one-power-less", lambda c: orders_error(c, _one_power_less)),),
    ),
    ExactClaim(
        "extreme-translation", "9", "L_t(h) at the extremes", SHIFTED, translation_error,
        (Mutant("extreme-h-unscaled", lambda c: translation_error(c, _unscaled)),),
    ),
    ExactClaim(
        "extreme-bayes-2d", "0", "Bayes' rule for each component, near-singular covariances", PLANE,
        bayes_error,
        (
            Mutant("extreme-gain-without-A", lambda c: bayes_error(c, _gain_without_a)),
            Mutant("extreme-forward-variance", lambda c: bayes_error(c, _forward_variance)),
        ),
    ),
    ExactClaim(
        "extreme-tower-2d", "9", "each component's tower, orders 1 to 3, near-singular covariances",
        PLANE, component_tower_error,
        (
            Mutant("extreme-alpha-once", lambda c: component_tower_error(c, power=lambda order: 1)),
            Mutant("extreme-tower-gain", lambda c: component_tower_error(
                c, kernel=_gain_without_a)),
            Mutant("extreme-tower-variance", lambda c: component_tower_error(
                c, kernel=_forward_variance)),
        ),
    ),
)  # fmt: skip
