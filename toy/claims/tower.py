"""The tower of martingales: alpha^|k| (d^k q)/q to order 3, and the translations L_t(h).

In one and two dimensions the expectation over the reverse kernel is taken by quadrature. In three it
is a sum over components: E[P(k|x_s) h_k(x_s) | x_t] = P(k|x_t) E_k[h_k(x_s)], where E_k is over the
Gaussian kernel of component k, and Gauss and Hermite's rule is exact for the polynomial h_k.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from toy.claims.martingale import kernel_expectation_error, relative
from toy.judge.claim import ExactClaim, Mutant
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture
from toy.mixtures.tower import component_tower, log_translation, tower, tower_martingale
from toy.numerics.quadrature import expectation
from toy.strategies import mixtures as strategies
from toy.strategies.extremes import ExtremeCase, ShiftedExtreme
from toy.strategies.mixtures import ReverseCase, ShiftedCase

Ordered = Callable[[Diffusion, Tensor, float, int], Tensor]
Shift = Callable[[Diffusion, Tensor, float], Tensor]
LogRatio = Callable[[GaussianMixture, Tensor, Tensor], Tensor]

NODES = 4
"""Gauss-Hermite nodes per axis: exact to degree 7."""


def orders_error(case: ReverseCase | ExtremeCase, process: Ordered = tower_martingale) -> float:
    """Largest kernel-expectation error of orders 2 and 3, all multi-indices."""

    def error(order: int) -> float:
        return kernel_expectation_error(case, lambda d, x, time: process(d, x, time, order))

    return max(map(error, (2, 3)))


def space_error(
    case: ReverseCase,
    power: Callable[[int], int] = lambda order: order,
    variance: Callable[[GaussianMixture, float], Tensor] = lambda kernel, v: kernel.variances,
) -> float:
    """|E[h_s(x_s)|x_t] - h_t(x_t)| for orders 1, 2 and 3 by components, relative to E[|h_s||x_t]."""
    diffusion, s, t, x_t = case.diffusion, case.times.s, case.times.t, case.x_t()
    earlier, kernel = diffusion.marginal(s), diffusion.reverse_kernel(x_t, s, t)
    kernel = replace(kernel, variances=variance(kernel, diffusion.transition(s, t)[1]))
    ratio = diffusion.transition(s, t)[0]
    x_s, node_weights = nodes(kernel)
    weights = node_weights[:, None] * torch.exp(kernel.log_weights)

    def error(order: int) -> float:
        own = component_tower(earlier, x_s, order).diagonal(dim1=-3, dim2=-2).mT
        mean, size = (torch.einsum("nk,nkm->m", weights, h) for h in (own, own.abs()))
        later = ratio ** power(order) * tower(diffusion.marginal(t), x_t, order)
        return relative(mean - later, size)

    return max(map(error, (1, 2, 3)))


def nodes(kernel: GaussianMixture) -> tuple[Tensor, Tensor]:
    """Points (n, K, d) of each component, and their common weights (n,)."""
    points, weights = (torch.from_numpy(x) for x in np.polynomial.hermite_e.hermegauss(NODES))
    grid = torch.cartesian_prod(*[points] * kernel.dimension)
    products = torch.cartesian_prod(*[weights / math.sqrt(2 * math.pi)] * kernel.dimension)
    offsets = kernel._out_of(grid[:, None, :] * kernel.variances.sqrt())
    return kernel.means + offsets, products.prod(-1)


def data_shift(diffusion: Diffusion, h: Tensor, t: float) -> Tensor:
    """alpha_t h: where the shift h of the data takes x_t."""
    return diffusion.scales(t)[0] * h


def translation_error(
    case: ShiftedCase | ShiftedExtreme,
    shift: Shift = data_shift,
    log_ratio: LogRatio = log_translation,
) -> float:
    """|E[L_s(h)|x_t]/L_t(h) - 1| by quadrature.

    L_s weighs the kernel towards the one of the shifted data, so that points are laid for both.
    """
    reverse, h = case.reverse, torch.tensor(case.h, dtype=torch.float64)
    diffusion, s, t, x_t = reverse.diffusion, reverse.times.s, reverse.times.t, reverse.x_t()
    kernel = diffusion.reverse_kernel(x_t, s, t)
    moved = diffusion.reverse_kernel(x_t - data_shift(diffusion, h, t), s, t)
    moved = replace(moved, means=moved.means + data_shift(diffusion, h, s))
    both, earlier = _half_and_half(kernel, moved), diffusion.marginal(s)
    at_t = log_ratio(diffusion.marginal(t), x_t, shift(diffusion, h, t))

    def growth(x_s: Tensor) -> Tensor:
        at_s = log_ratio(earlier, x_s, shift(diffusion, h, s))
        weight = kernel.log_density(x_s) - both.log_density(x_s)
        return torch.exp(weight + at_s - at_t)[:, None]

    return (expectation(both, growth).value - 1).abs().item()


def coefficients_error(
    case: ShiftedCase,
    factor: Callable[[float, int], float] = lambda alpha, n: (-alpha) ** n / math.factorial(n),
    derivatives: Callable[[GaussianMixture, Tensor, int], Tensor] = tower,
) -> float:
    """Taylor's coefficients of L_t(eps h) in eps are (-alpha)^n (D_h^n q)/(n! q), n = 1, 2 and 3.

    D_h^n contracts every derivative of order n with h n times. The coefficients are found by
    automatic differentiation of the ratio, and compared relative to those of the components.
    """
    diffusion, x, t = case.reverse.diffusion, case.reverse.x_t(), case.reverse.times.t
    law, alpha_t = diffusion.marginal(t), diffusion.scales(t)[0]
    h = torch.tensor(case.h, dtype=torch.float64)
    eps = torch.zeros((), dtype=torch.float64, requires_grad=True)
    value = torch.exp(log_translation(law, x, data_shift(diffusion, eps * h, t)))
    power, worst = torch.ones(1, dtype=torch.float64), 0.0
    for n in (1, 2, 3):
        (value,) = torch.autograd.grad(value, eps, create_graph=True)
        power = torch.outer(power, h).flatten()
        found = value.detach() / math.factorial(n)
        stated = factor(alpha_t, n) * derivatives(law, x, n) @ power
        own = law.responsibilities(x) @ component_tower(law, x, n).abs() @ power.abs()
        worst = max(worst, relative(found - stated, alpha_t**n / math.factorial(n) * own))
    return worst


def _half_and_half(one: GaussianMixture, other: GaussianMixture) -> GaussianMixture:
    """Two kernels of one diffusion, from the same t to the same s, mixed half and half."""
    return GaussianMixture(
        torch.cat([one.log_weights, other.log_weights]) - math.log(2),
        torch.cat([one.means, other.means]),
        one.variances.repeat(2, 1),
        None if one.rotations is None else one.rotations.repeat(2, 1, 1),
    )


def _one_power_less(diffusion: Diffusion, x: Tensor, t: float, order: int) -> Tensor:
    return tower_martingale(diffusion, x, t, order) / diffusion.scales(t)[0]


def _powers_of_score(diffusion: Diffusion, x: Tensor, t: float, order: int) -> Tensor:
    """Products of the score for the derivatives: the Hessian of log q is forgotten."""
    score = diffusion.martingale(x, t)
    value = score
    for _ in range(order - 1):
        value = (value[..., :, None] * score[..., None, :]).flatten(-2)
    return value


def _hessian_of_log(diffusion: Diffusion, x: Tensor, t: float, order: int) -> Tensor:
    """Hess log q for (Hess q)/q: the product of the scores is forgotten."""
    if order != 2:
        return tower_martingale(diffusion, x, t, order)
    return diffusion.scales(t)[0] ** 2 * diffusion.marginal(t).hessian(x).flatten(-2)


def _powers_for_derivatives(law: GaussianMixture, x: Tensor, n: int) -> Tensor:
    """Products of the score: the ratio is taken to be exp(-alpha h.score)."""
    power = score = law.score(x)
    for _ in range(n - 1):
        power = torch.outer(power, score).flatten()
    return power


def _unscaled(diffusion: Diffusion, h: Tensor, t: float) -> Tensor:
    return h


def _scaled_by_sigma(diffusion: Diffusion, h: Tensor, t: float) -> Tensor:
    return diffusion.scales(t)[1] * h


def _inverted(law: GaussianMixture, x: Tensor, shift: Tensor) -> Tensor:
    return -log_translation(law, x, shift)


def _first_order(law: GaussianMixture, x: Tensor, shift: Tensor) -> Tensor:
    """exp(-alpha h.score): the ratio's logarithm to first order only."""
    return -law.score(x) @ shift


LINE = strategies.reverse_cases(1, reach=10.0, least=0.05)
PLANE = strategies.reverse_cases(2, reach=4.0, least=0.3)
SPACE = strategies.reverse_cases(3, reach=4.0, least=0.1)
SHIFTED_LINE = strategies.shifted_cases(1, reach=10.0, least=0.05)
SHIFTED_PLANE = strategies.shifted_cases(2, reach=4.0, least=0.3)
SHIFTED_SPACE = strategies.shifted_cases(3, reach=1.0, least=0.9, most=1.1, farthest=1.0)

CLAIMS = (
    ExactClaim(
        "tower-1d", "9", "alpha^n q^(n)/q is a martingale, n = 2 and 3", LINE, orders_error,
        (
            Mutant("tower-one-power-less", lambda c: orders_error(c, _one_power_less)),
            Mutant("powers-of-score", lambda c: orders_error(c, _powers_of_score)),
        ),
    ),
    ExactClaim(
        "tower-2d", "9", "alpha^|k| (d^k q)/q, every mixed multi-index of order 2 and 3", PLANE,
        orders_error,
        (Mutant("hessian-of-log", lambda c: orders_error(c, _hessian_of_log)),),
    ),
    ExactClaim(
        "tower-3d", "9", "orders 1, 2 and 3 in closed form, d = 3", SPACE, space_error,
        (
            Mutant("tower-alpha-once", lambda c: space_error(c, power=lambda order: 1)),
            Mutant("tower-forward-variance", lambda c: space_error(
                c, variance=lambda kernel, v: torch.full_like(kernel.variances, v))),
        ),
    ),
    ExactClaim(
        "translation-1d", "9", "L_t(h) = q_t(x - alpha h)/q_t(x) is a martingale", SHIFTED_LINE,
        translation_error,
        (
            Mutant("h-unscaled", lambda c: translation_error(c, _unscaled)),
            Mutant("h-scaled-by-sigma", lambda c: translation_error(c, _scaled_by_sigma)),
            Mutant("ratio-inverted", lambda c: translation_error(c, log_ratio=_inverted)),
        ),
    ),
    ExactClaim(
        "translation-2d", "9", "L_t(h), full covariances", SHIFTED_PLANE, translation_error,
        (Mutant("ratio-to-first-order", lambda c: translation_error(c, log_ratio=_first_order)),),
    ),
    ExactClaim(
        "translation-orders", "9", "L_t(eps h) has (-alpha)^n (D_h^n q)/(n! q) for coefficients, d = 2",
        SHIFTED_PLANE, coefficients_error,
        (
            Mutant("orders-without-sign", lambda c: coefficients_error(
                c, lambda alpha, n: alpha**n / math.factorial(n))),
            Mutant("orders-without-factorial", lambda c: coefficients_error(
                c, lambda alpha, n: (-alpha) ** n)),
            Mutant("orders-unscaled", lambda c: coefficients_error(
                c, lambda alpha, n: (-1) ** n / math.factorial(n))),
            Mutant("orders-of-powers", lambda c: coefficients_error(
                c, derivatives=_powers_for_derivatives)),
        ),
    ),
    ExactClaim(
        "translation-3d", "9", "L_t(h), all three coordinates", SHIFTED_SPACE, translation_error,
        (Mutant("h-unscaled-3d", lambda c: translation_error(c, _unscaled)),),
        share=0.5,
    ),
)  # fmt: skip
