"""The Gaussian mixture whose scores are those that came, found by least squares from the right one."""

from dataclasses import dataclass

import torch
from scipy.optimize import least_squares
from torch import Tensor

from theory.support.errors import InputError
from toy.mixtures.mixture import GaussianMixture, float64

MET = 1e-7
"""Error of a score, relative to it and to the typical one, up to which it is met."""

MOST_NUMBERS = 60
"""So many numbers are fitted at most."""

EVALUATIONS = 200
"""Of the scores, in one fit."""

DISTANCES = (-3.0, -1.6, -0.7, 0.4, 1.1, 2.3)
"""Deviations from each component at which scores are asked for."""

BETWEEN = (0.1, 0.3, 0.45, 0.55, 0.7, 0.9)
"""Shares of the way from one component to another at which they are."""


def points_of(law: GaussianMixture) -> Tensor:
    """Points that show all of a law: around its components and between them, (n, d)."""
    d = law.dimension
    signs = torch.ones(d).cumprod(0) * torch.tensor([1.0, -1.0]).repeat(d)[:d]
    ways = torch.cat([torch.eye(d), torch.ones(1, d), signs[None]]).double()
    deviations = law.covariances().diagonal(dim1=1, dim2=2).sqrt()
    steps = float64(DISTANCES)[:, None, None] * ways
    around = law.means[:, None, None] + steps * deviations[:, None, None]
    shares = float64(BETWEEN)[:, None, None, None]
    between = law.means[:, None] + shares * (law.means[None] - law.means[:, None])
    return torch.cat([around.reshape(-1, d), between.reshape(-1, d)]).unique(dim=0)


@dataclass(frozen=True)
class FittedLaw:
    """A mixture, and the power to which the probabilities of its components are raised."""

    law: GaussianMixture
    power: float = 1.0

    def scores(self, x: Tensor) -> Tensor:
        """At points (n, d)."""
        p = torch.softmax(self.power * self.law.log_components(x), 1)
        return torch.einsum("nk,nkd->nd", p, self.law.component_scores(x))

    def as_multiple(self) -> tuple[float, GaussianMixture]:
        """A factor, and a law whose scores are the same when multiplied with it.

        P(k|x)^p of covariances C is P(k|x) of covariances C/p, but for the weights.
        """
        covariances = self.law.covariances()
        heights = self.law.log_weights - covariances.logdet() / 2
        weights = torch.softmax(self.power * heights + covariances.logdet() / 2, 0)
        return 1 / self.power, GaussianMixture.full(
            weights, self.law.means, covariances / self.power
        )

    def has(self, x: Tensor, scores: Tensor) -> bool:
        """Whether these are its scores at points (n, d)."""
        off = (self.scores(x) - scores).abs()
        return bool((off <= MET * (scores.abs() + _typical(scores))).all())


def law_of_scores(x: Tensor, scores: Tensor, right: GaussianMixture) -> FittedLaw | None:
    """The mixture of as many components whose scores at points (n, d) are these, or None.

    It is sought from the right one, from which what no score shows does not move; first with the
    probabilities of its components as they are, and then with a power of them.
    """
    numbers = sum(part.numel() for part in _parts(right))
    if numbers >= min(MOST_NUMBERS, scores.numel()) or not scores.isfinite().all():
        return None
    powers = (False, True) if len(right.log_weights) > 1 else (False,)
    found = (_fit(x, scores, right, with_power) for with_power in powers)
    return next((law for law in found if law is not None and law.has(x, scores)), None)


def _fit(x: Tensor, scores: Tensor, right: GaussianMixture, with_power: bool) -> FittedLaw | None:
    weights = 1 / (scores.abs() + _typical(scores))
    start = torch.cat(
        [torch.zeros(int(with_power)).double(), *(p.flatten() for p in _parts(right))]
    )

    def of(numbers: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The power, logits (K,), means (K, d) and Cholesky factors (K, d, d)."""
        power = numbers[0].exp() if with_power else torch.ones(()).double()
        return power, *_unflat(numbers[int(with_power) :], right.means.shape)

    def residuals(numbers: Tensor) -> Tensor:
        off = (_score(*of(numbers), x) - scores) * weights
        return off.flatten().nan_to_num(nan=1e9, posinf=1e9)

    found = least_squares(
        lambda numbers: residuals(torch.from_numpy(numbers)).numpy(),
        start.numpy(),
        lambda numbers: torch.func.jacfwd(residuals)(torch.from_numpy(numbers)).numpy(),
        method="lm", ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=EVALUATIONS,
    )  # fmt: skip
    power, logits, means, factors = of(torch.from_numpy(found.x))
    try:
        law = GaussianMixture.full(torch.softmax(logits, 0), means, factors @ factors.mT)
    except InputError:  # what was found is no law
        return None
    return FittedLaw(law, power.item())


def _typical(scores: Tensor) -> Tensor:
    return scores.abs().median()


def _parts(law: GaussianMixture) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits, means, logarithms of the Cholesky factors' diagonals, and what is below them."""
    factors = torch.linalg.cholesky(law.covariances())
    below = torch.tril_indices(law.dimension, law.dimension, offset=-1)
    logs = factors.diagonal(dim1=1, dim2=2).log()
    return law.log_weights, law.means, logs, factors[:, below[0], below[1]]


def _unflat(numbers: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (K,), means (K, d) and Cholesky factors (K, d, d)."""
    count, d = shape
    logits, means, logs, rest = numbers.split(
        [count, count * d, count * d, count * d * (d - 1) // 2]
    )
    below, components = torch.tril_indices(d, d, offset=-1), torch.arange(count)[:, None]
    factors = torch.diag_embed(logs.view(count, d).exp())
    factors = factors.index_put((components, below[0], below[1]), rest.view(count, -1))
    return logits, means.view(count, d), factors


def _score(power: Tensor, logits: Tensor, means: Tensor, factors: Tensor, x: Tensor) -> Tensor:
    """-sum_k p_k C_k^{-1} (x - m_k), C_k = L_k L_k^T, p a power of P(k|x), at points (n, d)."""
    apart = (x[:, None] - means)[..., None]
    z = torch.linalg.solve_triangular(factors, apart, upper=False)
    of_each = torch.linalg.solve_triangular(factors.mT, z, upper=True)[..., 0]
    half_logdet = factors.diagonal(dim1=1, dim2=2).log().sum(-1)
    p = torch.softmax(power * (logits - z.square().sum((-1, -2)) / 2 - half_logdet), 1)
    return -(p[..., None] * of_each).sum(1)
