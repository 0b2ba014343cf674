"""Distances between two samples of features, and between the mean colours of two sets of images."""

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from theory.statistics.intervals import Estimate
from theory.support.errors import InputError

ROWS_AT_ONCE = 1000
"""Of a kernel matrix, which need not fit into memory."""

SUBSETS = 10
"""Disjoint subsets whose spread gives the interval of one kernel distance."""


def frechet_distance(a: Float[Tensor, "n d"], b: Float[Tensor, "m e"]) -> float:
    """Squared Frechet distance between the normal distributions fitted to two samples.

    It is never negative and has a positive bias of order d/n, so that only distances between
    samples of the same sizes can be compared.

    Raises:
        InputError: fewer than two rows, or widths that differ.
    """
    require_features(a, b)
    a, b = a.double(), b.double()
    return normal_frechet_distance(a.mean(0), torch.cov(a.T), b.mean(0), torch.cov(b.T))


def normal_frechet_distance(
    mean_a: Float64[Tensor, "d"],
    covariance_a: Float64[Tensor, "..."],
    mean_b: Float64[Tensor, "d"],
    covariance_b: Float64[Tensor, "..."],
) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), Dowson and Landau (1982).

    With C = L L^T, the trace of (C_a C_b)^(1/2) is the sum of the singular values of L_a^T L_b.
    Unlike a matrix square root of the product this stays real and exact where C_a or C_b is
    singular, as it is whenever there are fewer images than features.
    """
    covariance_a, covariance_b = map(torch.atleast_2d, (covariance_a, covariance_b))
    cross = torch.linalg.svdvals(_root(covariance_a).T @ _root(covariance_b)).sum()
    spread = torch.trace(covariance_a) + torch.trace(covariance_b)
    distance = (mean_a - mean_b).square().sum() + spread - 2 * cross
    return max(distance.item(), 0.0)


def _root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt()


def kernel_distance(a: Float[Tensor, "n d"], b: Float[Tensor, "m e"], seed: int) -> Estimate:
    """KID: unbiased squared MMD under the kernel (x.y/d + 1)^3, Binkowski et al. (2018).

    The value is that of all rows, and negative half of the time where the two distributions are
    the same. The interval is Student's over disjoint subsets, dealt out by the seed; their mean
    varies no less than the value of all rows, so that it is if anything too wide.

    Raises:
        InputError: fewer than two rows, or widths that differ.
    """
    require_features(a, b)
    a, b = a.double(), b.double()
    generator = torch.Generator().manual_seed(seed)
    parts = max(1, min(SUBSETS, len(a) // 2, len(b) // 2))
    dealt = (torch.randperm(len(x), generator=generator).tensor_split(parts) for x in (a, b))
    subsets = torch.stack([squared_mmd(a[i], b[j]) for i, j in zip(*dealt, strict=True)])
    error = subsets.std().item() / math.sqrt(parts) if parts > 1 else math.inf
    return Estimate.from_error(squared_mmd(a, b).item(), error, parts - 1)


def squared_mmd(a: Float64[Tensor, "n d"], b: Float64[Tensor, "m d"]) -> Float64[Tensor, ""]:
    """Unbiased estimate of E k(a, a') - 2 E k(a, b) + E k(b, b'), a and a' different rows."""

    def within(x: Tensor) -> Tensor:
        """Mean kernel of different rows."""
        diagonal = (x.square().mean(1) + 1) ** 3
        return (_kernel_sum(x, x) - diagonal.sum()) / (len(x) * (len(x) - 1))

    return within(a) + within(b) - 2 * _kernel_sum(a, b) / (len(a) * len(b))


def _kernel_sum(x: Tensor, y: Tensor) -> Tensor:
    parts = [((rows @ y.T / x.shape[1] + 1) ** 3).sum() for rows in x.split(ROWS_AT_ONCE)]
    return torch.stack(parts).sum()


def tint(samples: Float[Tensor, "n c h w"], mean: Float64[Tensor, "c"]) -> Float64[Tensor, "c"]:
    """How far the mean of each channel is off, in units of the range [-1, 1]."""
    return samples.double().mean((0, 2, 3)) - mean


def require_features(a: Tensor, b: Tensor) -> None:
    """Refuse what cannot be compared.

    Raises:
        InputError: fewer than two rows, or widths that differ.
    """
    if min(len(a), len(b)) < 2 or a.shape[1] != b.shape[1]:
        raise InputError(
            f"features: expected two samples of at least two rows and one width, got "
            f"{tuple(a.shape)} and {tuple(b.shape)}"
        )
