"""Gaussian mixtures, exactly: density, score, Hessian, responsibilities, samples.

q(x) = sum_k w_k N(x; m_k, C_k) on R^d. Covariances are kept as eigenvalues and rotations,
C_k = R_k diag(v_k) R_k^T, because every operation of a diffusion only changes the eigenvalues:
alpha^2 C_k + sigma^2 I = R_k diag(alpha^2 v_k + sigma^2) R_k^T. Densities live in log space.

A mixture may be batched: weights (*batch, K) and means (*batch, K, d) broadcast over points
(*batch, d). All tensors are float64.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.support.errors import InputError
from toy.mixtures.short_dimensions import logsumexp, softmax, total

ASYMMETRY = 1e-6
"""Largest asymmetry of a covariance, relative to its largest entry, that rounding may leave."""


Points = Float64[Tensor, "*batch d"]
"""Points of R^d, or vectors at such points."""


def float64(numbers: Any) -> Tensor:
    """A number, or nested sequences of numbers, as a float64 tensor."""
    return torch.tensor(numbers, dtype=torch.float64)


@dataclass(frozen=True)
class GaussianMixture:
    """A mixture of K Gaussians.

    Attributes:
        log_weights: (*batch, K), of weights that sum to one.
        means: (*batch, K, d).
        variances: (K, d), eigenvalues of the covariances.
        rotations: (K, d, d) with eigenvectors as columns, or None for axis-aligned components.
    """

    log_weights: Float64[Tensor, "*batch k"]
    means: Float64[Tensor, "*batch k d"]
    variances: Float64[Tensor, "k d"]
    rotations: Float64[Tensor, "k d d"] | None = None

    @classmethod
    def diagonal(cls, weights: Tensor, means: Tensor, variances: Tensor) -> "GaussianMixture":
        """Weights (K,), means (K, d), variances (K, d) or, for isotropic components, (K,).

        Raises:
            InputError: shapes that do not fit, weights or variances that are not positive, or
                anything that is not finite.
        """
        weights, means, variances = (x.double() for x in (weights, means, variances))
        if variances.dim() == 1:
            variances = variances[:, None]
        shapes_fit = (
            means.dim() == 2
            and weights.shape == means.shape[:1]
            and variances.dim() == 2
            and variances.shape[0] == means.shape[0]
            and variances.shape[1] in (1, means.shape[1])
        )
        if not shapes_fit:
            raise InputError(
                "mixture: expected weights (K,), means (K, d), variances (K,) or (K, d), got "
                f"{tuple(weights.shape)}, {tuple(means.shape)}, {tuple(variances.shape)}"
            )
        if not ((weights > 0).all() and (variances > 0).all()):
            raise InputError("mixture: expected positive weights and variances")
        if not all(x.isfinite().all() for x in (weights, means, variances)):
            raise InputError("mixture: expected finite weights, means and variances")
        log_weights = torch.log(weights) - torch.log(weights.sum())
        return cls(log_weights, means, variances.expand(means.shape).contiguous())

    @classmethod
    def atoms(cls, weights: Tensor, points: Tensor) -> "GaussianMixture":
        """Points (K, d) of probabilities in proportion to weights (K,): a law without a density.

        Use it as the data of a ``Diffusion``, whose marginals have a density where sigma_t > 0.

        Raises:
            InputError: as for ``diagonal``.
        """
        wide = cls.diagonal(weights, points, torch.ones(len(points)))
        return cls(wide.log_weights, wide.means, torch.zeros_like(wide.variances))

    @classmethod
    def full(cls, weights: Tensor, means: Tensor, covariances: Tensor) -> "GaussianMixture":
        """Weights (K,), means (K, d), symmetric positive definite covariances (K, d, d).

        Raises:
            InputError: as for ``diagonal``, or covariances of another shape, not symmetric or not
                finite. An asymmetry that single precision may leave is removed instead.
        """
        covariances = covariances.double()
        if covariances.dim() != 3 or covariances.shape[1:] != means.shape[1:] * 2:
            raise InputError(
                f"mixture: expected covariances (K, d, d), got {tuple(covariances.shape)}"
            )
        size = covariances.abs().amax((1, 2), keepdim=True)
        if not ((covariances - covariances.mT).abs() <= ASYMMETRY * size).all():
            raise InputError("mixture: expected finite symmetric covariances")
        variances, rotations = torch.linalg.eigh((covariances + covariances.mT) / 2)
        axis_aligned = cls.diagonal(weights, means, variances)
        return cls(axis_aligned.log_weights, axis_aligned.means, variances, rotations)

    @property
    def dimension(self) -> int:
        """d."""
        return self.means.shape[-1]

    @property
    def axes(self) -> Float64[Tensor, "k d d"]:
        """R_k, with eigenvectors as columns: identities for axis-aligned components."""
        if self.rotations is not None:
            return self.rotations
        return torch.eye(self.dimension, dtype=torch.float64).expand(len(self.variances), -1, -1)

    def to_eigenbasis(self, x: Tensor) -> Tensor:
        """R_k^T x_k: vectors (*batch, K, d) in the eigenbasis of each component."""
        return x if self.rotations is None else torch.einsum("kij,...ki->...kj", self.rotations, x)

    def from_eigenbasis(self, z: Tensor) -> Tensor:
        """R_k z_k: the inverse of ``to_eigenbasis``."""
        return z if self.rotations is None else torch.einsum("kij,...kj->...ki", self.rotations, z)

    def centred(self, x: Tensor) -> Tensor:
        """x - m_k in the eigenbasis of each component, (*batch, K, d)."""
        return self.to_eigenbasis(x[..., None, :] - self.means)

    def log_components(self, x: Tensor) -> Tensor:
        """log(w_k N(x; m_k, C_k)), (*batch, K)."""
        return self.log_components_of(self.centred(x))

    def log_components_of(self, z: Tensor) -> Tensor:
        """The same from centred points (*batch, K, d), which are computed once for all."""
        return self._log_heights - total(z * z * self._half_precisions)

    @cached_property
    def _half_precisions(self) -> Tensor:
        return 0.5 / self.variances

    @cached_property
    def _log_heights(self) -> Tensor:
        """log(w_k N(m_k; m_k, C_k)), (*batch, K)."""
        return self.log_weights - torch.log(2 * torch.pi * self.variances).sum(-1) / 2

    def log_density(self, x: Points) -> Float64[Tensor, "*batch"]:
        """log q(x), (*batch,)."""
        return logsumexp(self.log_components(x))

    def responsibilities(self, x: Points) -> Float64[Tensor, "*batch k"]:
        """P(k | x), (*batch, K)."""
        return softmax(self.log_components(x))

    def component_scores(self, x: Tensor) -> Tensor:
        """grad log N(x; m_k, C_k) = -C_k^{-1} (x - m_k), (*batch, K, d)."""
        return self.from_eigenbasis(self.centred(x) / -self.variances)

    def _responsibilities_and_scores(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """P(k | x), (*batch, K), and the scores of the components, (*batch, K, d)."""
        z = self.centred(x)
        return softmax(self.log_components_of(z)), self.from_eigenbasis(z / -self.variances)

    def score(self, x: Points) -> Points:
        """grad log q(x) = sum_k P(k|x) grad log N_k, (*batch, d)."""
        p, scores = self._responsibilities_and_scores(x)
        return (p[..., None, :] @ scores)[..., 0, :]

    def hessian(self, x: Points) -> Float64[Tensor, "*batch d d"]:
        """Hess log q(x) = Cov_k(grad log N_k) - sum_k P(k|x) C_k^{-1}, (*batch, d, d)."""
        p, scores = self._responsibilities_and_scores(x)
        centred = scores - torch.einsum("...k,...kd->...d", p, scores)[..., None, :]
        spread = torch.einsum("...k,...ki,...kj->...ij", p, centred, centred)
        return spread - torch.einsum("...k,kij->...ij", p, self.precisions())

    def precisions(self) -> Tensor:
        """C_k^{-1}, (K, d, d)."""
        if self.rotations is None:
            return torch.diag_embed(1 / self.variances)
        return torch.einsum("kia,ka,kja->kij", self.rotations, 1 / self.variances, self.rotations)

    def covariances(self) -> Tensor:
        """C_k, (K, d, d)."""
        if self.rotations is None:
            return torch.diag_embed(self.variances)
        return torch.einsum("kia,ka,kja->kij", self.rotations, self.variances, self.rotations)

    def mean(self) -> Tensor:
        """E x, (*batch, d)."""
        return (torch.exp(self.log_weights)[..., None] * self.means).sum(-2)

    def sample(self, generator: torch.Generator, n: int = 1) -> Tensor:
        """Independent draws (n, *batch, d)."""
        weights = torch.exp(self.log_weights)
        flat = weights.reshape(-1, weights.shape[-1])
        k = torch.multinomial(flat, n, replacement=True, generator=generator)
        k = k.T.reshape(n, *weights.shape[:-1])
        z = torch.randn(*k.shape, self.dimension, generator=generator, dtype=torch.float64)
        offset = z * torch.sqrt(self.variances[k])
        if self.rotations is not None:
            offset = torch.einsum("...ij,...j->...i", self.rotations[k], offset)
        means = self.means.expand(n, *self.means.shape)
        index = k[..., None, None].expand(*k.shape, 1, self.dimension)
        return torch.gather(means, -2, index).squeeze(-2) + offset


def tilted(
    law: GaussianMixture, eta: Float64[Tensor, "d"]
) -> tuple[GaussianMixture, Float64[Tensor, ""]]:
    """The mixture p(x) exp(-eta.x)/Z and log Z, for a mixture p and eta (d,).

    N(m, C) exp(-eta.x) = N(m - C eta, C) exp(-eta.m + eta.C eta/2).
    """
    moved = law.covariances() @ eta
    log_weights = law.log_weights - law.means @ eta + (moved @ eta) / 2
    log_z = torch.logsumexp(log_weights, -1)
    return replace(law, log_weights=log_weights - log_z, means=law.means - moved), log_z
