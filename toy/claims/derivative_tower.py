"""The tower of martingales: alpha^|k| (d^k q)/q to order 3, and the translations L_t(h).

In one and two dimensions the expectation over the reverse kernel is taken by quadrature. In three it
is a sum over components: E[P(k|x_s) h_k(x_s) | x_t] = P(k|x_t) E_k[h_k(x_s)], where E_k is over the
Gaussian kernel of component k, and a Gauss-Hermite rule is exact for the polynomial h_k.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from toy.claims.martingale import kernel_expectation_error
from toy.claims.mistakes import one_power_less
from toy.judge.claim import exact_claim
from toy.mixtures.density_derivatives import (
    component_derivatives,
    density_derivatives,
    log_translation,
    tower_martingale,
)
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.numerics.quadrature import component_nodes, expectation
from toy.numerics.relative_errors import largest, relative_error
from toy.strategies.extremes import ExtremeCase, ShiftedExtreme
from toy.strategies.mixtures import (
    LINE,
    PLANE,
    SPACE,
    ReverseCase,
    ShiftedCase,
    shifted_cases,
)

NODES = 4
"""Gauss-Hermite nodes per axis: exact to degree 7."""


def orders_error(
    case: ReverseCase | ExtremeCase,
    process: Callable[[Diffusion, Tensor, float, int], Tensor] = tower_martingale,
) -> float:
    """Largest kernel-expectation error of orders 2 and 3, all multi-indices."""

    def error(order: int) -> float:
        """That of one order."""
        return kernel_expectation_error(case, lambda d, x, time: process(d, x, time, order))

    return largest(map(error, (2, 3)))


def space_error(
    case: ReverseCase,
    power: Callable[[int], int] = lambda order: order,
    variance: Callable[[GaussianMixture, float], Tensor] = lambda kernel, v: kernel.variances,
) -> float:
    """|E[h_s(x_s)|x_t] - h_t(x_t)| for orders 1, 2 and 3, by components, relative to E[|h_s||x_t]."""
    diffusion, s, t, x_t = case.diffusion, case.times.s, case.times.t, case.x_t()
    earlier, kernel = diffusion.marginal(s), diffusion.reverse_kernel(x_t, s, t)
    kernel = replace(kernel, variances=variance(kernel, diffusion.transition(s, t)[1]))
    ratio = diffusion.transition(s, t)[0]
    x_s, node_weights = component_nodes(kernel, NODES)
    weights = node_weights[:, None] * torch.exp(kernel.log_weights)

    def error(order: int) -> float:
        """That of one order."""
        own = component_derivatives(earlier, x_s, order).diagonal(dim1=-3, dim2=-2).mT
        mean, size = (torch.einsum("nk,nkm->m", weights, h) for h in (own, own.abs()))
        later = ratio ** power(order) * density_derivatives(diffusion.marginal(t), x_t, order)
        return relative_error(mean - later, size)

    return largest(map(error, (1, 2, 3)))


def data_shift(diffusion: Diffusion, h: Tensor, t: float) -> Tensor:
    """alpha_t h: the shift of x_t for the shift h of the data."""
    return diffusion.scales(t)[0] * h


def translation_error(
    case: ShiftedCase | ShiftedExtreme,
    shift: Callable[[Diffusion, Tensor, float], Tensor] = data_shift,
    log_ratio: Callable[[GaussianMixture, Tensor, Tensor], Tensor] = log_translation,
) -> float:
    """|E[L_s(h)|x_t]/L_t(h) - 1| by quadrature.

    L_s turns the kernel into that of the shifted data, so that the points cover both kernels.
    """
    reverse, h = case.reverse, float64(case.h)
    diffusion, s, t, x_t = reverse.diffusion, reverse.times.s, reverse.times.t, reverse.x_t()
    kernel = diffusion.reverse_kernel(x_t, s, t)
    moved = diffusion.reverse_kernel(x_t - data_shift(diffusion, h, t), s, t)
    moved = replace(moved, means=moved.means + data_shift(diffusion, h, s))
    both, earlier = _half_and_half(kernel, moved), diffusion.marginal(s)
    at_t = log_ratio(diffusion.marginal(t), x_t, shift(diffusion, h, t))

    def growth(x_s: Tensor) -> Tensor:
        """L_s/L_t, weighted from both kernels to the one."""
        at_s = log_ratio(earlier, x_s, shift(diffusion, h, s))
        weight = kernel.log_density(x_s) - both.log_density(x_s)
        return torch.exp(weight + at_s - at_t)[:, None]

    return (expectation(both, growth).value - 1).abs().item()


def coefficients_error(
    case: ShiftedCase,
    factor: Callable[[float, int], float] = lambda alpha, n: (-alpha) ** n / math.factorial(n),
    derivatives: Callable[[GaussianMixture, Tensor, int], Tensor] = density_derivatives,
) -> float:
    """Taylor's coefficients of L_t(eps h) in eps are (-alpha)^n (D_h^n q)/(n! q), n = 1, 2 and 3.

    D_h^n contracts every derivative of order n with h n times. The coefficients of the ratio are
    found by automatic differentiation; errors are relative to the coefficients of the components.
    """
    diffusion, x, t = case.reverse.diffusion, case.reverse.x_t(), case.reverse.times.t
    law, alpha_t = diffusion.marginal(t), diffusion.scales(t)[0]
    h = float64(case.h)
    eps = torch.zeros((), dtype=torch.float64, requires_grad=True)
    value = torch.exp(log_translation(law, x, data_shift(diffusion, eps * h, t)))
    power, worst = torch.ones(1, dtype=torch.float64), 0.0
    for n in (1, 2, 3):
        (value,) = torch.autograd.grad(value, eps, create_graph=True)
        power = torch.outer(power, h).flatten()
        found = value.detach() / math.factorial(n)
        stated = factor(alpha_t, n) * derivatives(law, x, n) @ power
        own = law.responsibilities(x) @ component_derivatives(law, x, n).abs() @ power.abs()
        worst = largest(
            [worst, relative_error(found - stated, alpha_t**n / math.factorial(n) * own)]
        )
    return worst


def _half_and_half(one: GaussianMixture, other: GaussianMixture) -> GaussianMixture:
    """Two kernels of one diffusion, from the same t to the same s, mixed half and half."""
    return GaussianMixture(
        torch.cat([one.log_weights, other.log_weights]) - math.log(2),
        torch.cat([one.means, other.means]),
        one.variances.repeat(2, 1),
        None if one.rotations is None else one.rotations.repeat(2, 1, 1),
    )


def _powers_of_score(diffusion: Diffusion, x: Tensor, t: float, order: int) -> Tensor:
    """Products of the score for the derivatives, without the Hessian of log q."""
    score = diffusion.martingale(x, t)
    value = score
    for _ in range(order - 1):
        value = (value[..., :, None] * score[..., None, :]).flatten(-2)
    return value


def _hessian_of_log(diffusion: Diffusion, x: Tensor, t: float, order: int) -> Tensor:
    """Hess log q for (Hess q)/q, without the product of the scores."""
    if order != 2:
        return tower_martingale(diffusion, x, t, order)
    return diffusion.scales(t)[0] ** 2 * diffusion.marginal(t).hessian(x).flatten(-2)


def _powers_for_derivatives(law: GaussianMixture, x: Tensor, n: int) -> Tensor:
    """Products of the score, as if the ratio were exp(-alpha h.score)."""
    power = score = law.score(x)
    for _ in range(n - 1):
        power = torch.outer(power, score).flatten()
    return power


SHIFTED_LINE = shifted_cases(1, reach=10.0, least=0.05)
SHIFTED_PLANE = shifted_cases(2, reach=4.0, least=0.3)
SHIFTED_SPACE = shifted_cases(3, reach=1.0, least=0.9, most=1.1, farthest=1.0)

CLAIMS = (
    exact_claim(
        "tower-1d", "9", "alpha^n q^(n)/q is a martingale, n = 2 and 3", LINE, orders_error,
        process={"tower-one-power-less": one_power_less, "powers-of-score": _powers_of_score},
    ),
    exact_claim(
        "tower-2d", "9", "alpha^|k| (d^k q)/q, every mixed multi-index of order 2 and 3", PLANE,
        orders_error, process={"hessian-of-log": _hessian_of_log},
    ),
    exact_claim(
        "tower-3d", "9", "orders 1, 2 and 3 in closed form, d = 3", SPACE, space_error,
        power={"tower-alpha-once": lambda order: 1},
        variance={"tower-forward-variance": lambda kernel, v: torch.full_like(kernel.variances, v)},
    ),
    exact_claim(
        "translation-1d", "9", "L_t(h) = q_t(x - alpha h)/q_t(x) is a martingale", SHIFTED_LINE,
        translation_error,
        shift={
            "h-unscaled": lambda of, h, t: h,
            "h-scaled-by-sigma": lambda of, h, t: of.scales(t)[1] * h,
        },
        log_ratio={"ratio-inverted": lambda law, x, shift: -log_translation(law, x, shift)},
    ),
    exact_claim(
        "translation-2d", "9", "L_t(h), full covariances", SHIFTED_PLANE, translation_error,
        log_ratio={"ratio-to-first-order": lambda law, x, shift: -law.score(x) @ shift},
    ),
    exact_claim(
        "translation-orders", "9",
        "L_t(eps h) has (-alpha)^n (D_h^n q)/(n! q) for coefficients, d = 2", SHIFTED_PLANE,
        coefficients_error,
        factor={
            "orders-without-sign": lambda alpha, n: alpha**n / math.factorial(n),
            "orders-without-factorial": lambda alpha, n: (-alpha) ** n,
            "orders-unscaled": lambda alpha, n: (-1) ** n / math.factorial(n),
        },
        derivatives={"orders-of-powers": _powers_for_derivatives},
    ),
    exact_claim(
        "translation-3d", "9", "L_t(h), all three coordinates", SHIFTED_SPACE, translation_error,
        shift={"h-unscaled-3d": lambda of, h, t: h}, share=0.5,
    ),
)  # fmt: skip
