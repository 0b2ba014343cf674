"""The energy identity d(alpha^2 I)/dt = -alpha^2 g^2 E[(Hess log q)^2], I = E[score score^T].

The left side is computed without the Fokker-Planck equation. Each component N(alpha m, C), with
C = alpha^2 C_0 + sigma^2 I, is differentiated in t through alpha and sigma, and so are its weight in
the mixture and its score; the derivative of E_q[score score^T] is then an expectation under q_t.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from toy.judge.claim import exact_claim
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.numerics.quadrature import expectation
from toy.numerics.relative_errors import relative_error
from toy.strategies.mixtures import LINE, ReverseCase, reverse_cases


def squared_hessian(law: GaussianMixture, x: Tensor) -> Tensor:
    """(Hess log q)^2, the matrix product, (n, d, d)."""
    hessian = law.hessian(x)
    return hessian @ hessian


def energy_error(
    case: ReverseCase,
    dissipation: Callable[[GaussianMixture, Tensor], Tensor] = squared_hessian,
    diffusion_power: int = 2,
    alpha_moves: bool = True,
) -> float:
    """|d(alpha^2 I)/dt + alpha^2 g^2 E[(Hess log q)^2]| by quadrature, relative to its terms."""
    diffusion, t = case.diffusion, case.times.t
    law, d = diffusion.marginal(t), diffusion.data.dimension
    time, schedule = float64(t), diffusion.schedule
    g = schedule.diffusion_sq(time).sqrt().item()
    growth = 2 * schedule.drift(time).item() if alpha_moves else 0.0

    def terms(x: Tensor) -> Tensor:
        """The derivative of alpha^2 I in two parts, and its loss, in units of alpha^2."""
        fisher, rate = _fisher_and_rate(diffusion, x, t)
        lost = g**diffusion_power * dissipation(law, x)
        return torch.stack([growth * fisher, rate, lost], 1).flatten(1)

    integral = expectation(law, terms)
    total, size = (v.reshape(3, d, d).sum(0) for v in (integral.value, integral.magnitude))
    return relative_error(total, size)


def _fisher_and_rate(diffusion: Diffusion, x: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """s s^T, of mean I, and (d log q/dt) s s^T + s' s^T + s s'^T, of mean dI/dt: each (n, d, d)."""
    law, time, schedule = diffusion.marginal(t), float64(t), diffusion.schedule
    alpha_t, sigma_t = diffusion.scales(t)
    d_alpha, d_sigma = schedule.d_alpha(time), schedule.d_sigma(time)
    d_variances = 2 * alpha_t * d_alpha * diffusion.data.variances + 2 * sigma_t * d_sigma
    z = law.centred(x) / law.variances
    moving = d_alpha * law.to_eigenbasis(diffusion.data.means)
    swelling = d_variances / 2
    d_log = torch.einsum("...kd,kd->...k", z * z, swelling) - (swelling / law.variances).sum(-1)
    d_log = d_log + torch.einsum("...kd,kd->...k", z, moving)
    d_scores = law.from_eigenbasis((z * d_variances + moving) / law.variances)
    p, scores = law.responsibilities(x), law.component_scores(x)
    d_log_q = torch.einsum("...k,...k->...", p, d_log)[..., None]
    score = torch.einsum("...k,...kd->...d", p, scores)
    d_score = torch.einsum("...k,...kd->...d", p * (d_log - d_log_q), scores)
    d_score = d_score + torch.einsum("...k,...kd->...d", p, d_scores)
    cross = d_score[:, :, None] * score[:, None, :]
    fisher = score[:, :, None] * score[:, None, :]
    return fisher, d_log_q[..., None] * fisher + cross + cross.mT


def _each_direction(law: GaussianMixture, x: Tensor) -> Tensor:
    """(Hess log q)^2 without what is off its diagonal."""
    return torch.diag_embed(squared_hessian(law, x).diagonal(dim1=-2, dim2=-1))


def _squared_fisher(law: GaussianMixture, x: Tensor) -> Tensor:
    """(score score^T)^2, the outer product of the score for minus its derivative."""
    score = law.score(x)
    outer = score[:, :, None] * score[:, None, :]
    return outer @ outer


PLANE = reverse_cases(2, reach=1.5, least=0.8, most=1.2)
SPACE = reverse_cases(3, reach=1.0, least=0.9, most=1.1)

CLAIMS = (
    exact_claim(
        "energy-1d", "9", "d(alpha^2 I)/dt = -alpha^2 g^2 E[((log q)'')^2]", LINE, energy_error,
        diffusion_power={"energy-g-for-g-squared": 1}, alpha_moves={"energy-no-alpha": False},
        dissipation={"score-squared-for-hessian": _squared_fisher},
    ),
    exact_claim(
        "energy-2d", "9", "the same for the Fisher information matrix", PLANE, energy_error,
        dissipation={
            "elementwise-square": lambda law, x: law.hessian(x) ** 2,
            "off-diagonal-forgotten": _each_direction,
        },
    ),
    exact_claim(
        "energy-3d", "9", "the same in three dimensions", SPACE, energy_error,
        alpha_moves={"energy-no-alpha-3d": False}, share=0.2,
    ),
)  # fmt: skip
