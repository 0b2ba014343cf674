"""Calibration, the tower and the posterior on mixtures that are hard to compute.

On the line expectations are by quadrature. In the plane, where the axes of a covariance differ by up
to 1e8, two facts are tested in each component's eigenbasis, about its own mean. By Bayes' rule, at
any x_s,

    w_k N_k(x_s) N(x_t; A x_s, V) = P(k|x_t) q_t(x_t) N(x_s; kernel of component k),

so that E[P(k|x_s) h_k(x_s)|x_t] = P(k|x_t) E_k[h_k(x_s)] over the kernel's component; and for a
derivative h_k = (d^n N_k)/N_k that is A^n h_k(x_t), by a Gauss-Hermite rule, which is exact. The
mixture's tower is the sum of these over k.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from toy.claims.calibration import eta_error, fall_without_penalty, half_the_fall, loss_fall_error
from toy.claims.derivative_tower import NODES, data_shift, orders_error, translation_error
from toy.claims.martingale import posterior_mean_error, posterior_mean_martingale_error
from toy.claims.mistakes import forward_variance, gain_without_a, one_power_less
from toy.judge.claim import exact_claim
from toy.mixtures.density_derivatives import component_derivatives
from toy.mixtures.diffusion import Diffusion, Kernel
from toy.mixtures.mixture import GaussianMixture
from toy.mixtures.planted_error import PlantedErrorModel
from toy.numerics.quadrature import component_nodes, expectation
from toy.numerics.relative_errors import elementwise_error, largest
from toy.strategies.extremes import EXTREME_MODELS, SHIFTED_EXTREMES, ExtremeCase, extreme_cases


def posterior_probability_error(
    case: ExtremeCase,
    of: Callable[[GaussianMixture, Tensor], Tensor] = GaussianMixture.responsibilities,
) -> float:
    """|E[P(k|x_s)|x_t] - P(k|x_t)| relative to P(k|x_t), or to 1e-12 if that is larger."""
    diffusion, s, t, x_t = case.diffusion, case.times.s, case.times.t, case.x_t()
    earlier, later = diffusion.marginal(s), of(diffusion.marginal(t), x_t)
    unit = later.clamp(min=1e-12)
    integral = expectation(
        diffusion.reverse_kernel(x_t, s, t), lambda x: of(earlier, x) / unit, size=1.0
    )
    left = (integral.value - later / unit).abs() + integral.errors
    return (left / integral.magnitude.clamp(min=1.0)).max().item()


def component_bayes_error(case: ExtremeCase, kernel: Kernel = Diffusion.reverse_kernel) -> float:
    """Logarithm of Bayes' rule for every component, one deviation from its kernel's mean.

    Relative to its terms, and to their change for a relative error of x_t - alpha_t m_k.
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
    x_s, weights = component_nodes(GaussianMixture(own.data.log_weights, means, spread), NODES)

    def error(order: int) -> float:
        """That of one order."""
        earlier, later = (
            component_derivatives(own.marginal(r), x, order).diagonal(dim1=-3, dim2=-2).mT
            for r, x in ((s, x_s), (t, z_t))
        )
        mean, size = (torch.einsum("n,nkm->km", weights, h) for h in (earlier, earlier.abs()))
        return elementwise_error(mean - ratio ** power(order) * later, size)

    return largest(map(error, (1, 2, 3)))


def _about_own_means(case: ExtremeCase) -> tuple[Diffusion, Tensor]:
    """The diffusion with each component in its eigenbasis about its mean, and x_t there, (K, d)."""
    data = case.diffusion.data
    own = GaussianMixture(data.log_weights, 0 * data.means, data.variances)
    z_t = case.diffusion.marginal(case.times.t).centred(case.x_t())
    return Diffusion(own, case.times.schedule), z_t


def _own_kernels(kernels: GaussianMixture) -> tuple[Tensor, Tensor]:
    """Mean and variances, each (K, d), of the k-th component from the k-th point."""
    return kernels.means.diagonal(dim1=0, dim2=1).T, kernels.variances


def _raw_mean(model: PlantedErrorModel, t: float) -> Tensor:
    return model.eta(t) + model.diffusion.target_size(model.target, t)


def _equal_weights(law: GaussianMixture, x: Tensor) -> Tensor:
    return torch.softmax(law.log_components(x) - law.log_weights, -1)


LINE, PLANE, MODELS = extreme_cases(1), extreme_cases(2), EXTREME_MODELS

CLAIMS = (
    exact_claim(
        "extreme-eta", "4", "eta = E[y_theta] - A E[x_0] at the extremes", MODELS, eta_error,
        instead={"extreme-eta-at-s": lambda c: eta_error(c, lambda model, t: model.eta(c.times.s))},
        eta={"extreme-raw-mean": _raw_mean},
    ),
    exact_claim(
        "extreme-loss-fall", "4", "the loss falls by 2 c.eta - |c|^2 at the extremes", MODELS,
        loss_fall_error,
        fall={"extreme-half-fall": half_the_fall, "extreme-no-penalty": fall_without_penalty},
    ),
    exact_claim(
        "extreme-posterior-mean", "9", "E[x_0|x_t] = (x_t + sigma^2 score)/alpha at the extremes",
        LINE, posterior_mean_error, power={"extreme-sigma": 1},
    ),
    exact_claim(
        "extreme-posterior-mean-2d", "9", "the same with near-singular covariances", PLANE,
        posterior_mean_error, power={"extreme-sigma-2d": 1},
    ),
    exact_claim(
        "extreme-mean-martingale", "9", "E[E[x_0|x_s]|x_t] = E[x_0|x_t] at the extremes", LINE,
        posterior_mean_martingale_error,
        process={"extreme-noise-for-data": Diffusion.noise_prediction},
    ),
    exact_claim(
        "extreme-components", "9", "E[P(k|x_s)|x_t] = P(k|x_t), of 1e-12 each by itself", LINE,
        posterior_probability_error, of={"extreme-equal-weights": _equal_weights},
    ),
    exact_claim(
        "extreme-tower", "9", "alpha^n q^(n)/q, n = 2 and 3, at the extremes", LINE, orders_error,
        process={"extreme-one-power-less": one_power_less},
    ),
    exact_claim(
        "extreme-translation", "9", "L_t(h) at the extremes", SHIFTED_EXTREMES, translation_error,
        shift={"extreme-h-unscaled": lambda of, h, t: data_shift(of, h, t) / of.scales(t)[0]},
    ),
    exact_claim(
        "extreme-bayes-2d", "0", "Bayes' rule for each component, near-singular covariances", PLANE,
        component_bayes_error,
        kernel={
            "extreme-gain-without-A": gain_without_a, "extreme-forward-variance": forward_variance,
        },
    ),
    exact_claim(
        "extreme-tower-2d", "9", "each component's tower, orders 1 to 3, near-singular covariances",
        PLANE, component_tower_error, power={"extreme-alpha-once": lambda order: 1},
        kernel={"extreme-tower-gain": gain_without_a, "extreme-tower-variance": forward_variance},
    ),
)  # fmt: skip
