"""Slopes of low rank: from the lowest frequencies of x_t and y_theta to every pixel.

With V the first few cosine patterns and f = (V x_t, V y_theta) about its mean, the part of the
correction is W^T f, one dense map which sees how pixels hang together, where the other kinds of
slopes see each coordinate by itself. W is a ridge regression toward none,

    W = (C + kappa D + U)^{-1} E f r^T,    C = E f f^T, D = diag C,

where U is what an image that is unlike those which were seen would add, as for the other slopes.
"""

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from theory.estimators.device_sums import OnOneDevice
from theory.forward.forward_pass import GROUPS
from theory.statistics.image_bases import inverse_dct

RANK = 8
NAME = "low rank"


def patterns(shape: tuple[int, ...]) -> Float64[Tensor, "rank d"]:
    """The lowest cosine patterns of images (c, h, w), orthonormal, by radial frequency."""
    vertical, horizontal = (torch.arange(n, dtype=torch.float64) for n in shape[1:])
    radius = torch.sqrt(vertical[:, None] ** 2 + horizontal**2).expand(shape).reshape(-1)
    lowest = torch.argsort(radius, stable=True)[:RANK]
    unit = torch.zeros(len(lowest), len(radius), dtype=torch.float64)
    unit[torch.arange(len(lowest)), lowest] = 1
    return inverse_dct(unit, shape)


def features(
    shape: tuple[int, ...], x: Float64[Tensor, "*many d"], y: Float64[Tensor, "*many d"]
) -> Float64[Tensor, "*many feature"]:
    """f of flattened x_t and y_theta of images of this shape."""
    lowest = patterns(shape).T
    return torch.cat([x @ lowest, y @ lowest], -1)


class LowRankSums(OnOneDevice):
    """Sums of products of f with itself and with r, by group; and with x_t and y_theta, of all."""

    fixed = frozenset({"patterns"})

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.patterns = patterns(shape)
        k, d = self.patterns.shape
        self.square = torch.zeros(GROUPS, 2 * k, 2 * k, dtype=torch.float64)
        self.cross = torch.zeros(GROUPS, 2 * k, d, dtype=torch.float64)
        self.with_features = torch.zeros(2, 2 * k, d, dtype=torch.float64)

    def features(self, x: Tensor, y: Tensor) -> Tensor:
        """f (..., 2 rank) of flattened x_t and y_theta (..., d)."""
        return torch.cat([x @ self.patterns.T, y @ self.patterns.T], -1)

    def add_(self, groups: Int64[Tensor, "n"], x: Tensor, y: Tensor, r: Tensor) -> None:
        """Take in draws (n, d) of these groups, which are on the CPU."""
        f = self.features(x, y)
        order, counts = groups.argsort().to(f.device), groups.bincount(minlength=GROUPS).tolist()
        by_group = zip(f[order].split(counts), r[order].split(counts), strict=True)
        for g, (features, residuals) in enumerate(by_group):
            if len(features):
                self.square[g].addmm_(features.T, features)
                self.cross[g].addmm_(features.T, residuals)
        self.with_features[0] += f.T @ x
        self.with_features[1] += f.T @ y

    def centred(
        self,
        draws: Float64[Tensor, "group"],
        sums: Float64[Tensor, "group 3 d"],
        centres: Float64[Tensor, "3 d"],
    ) -> tuple[Float64[Tensor, "group k k"], Float64[Tensor, "group k d"]]:
        """E f f^T and E f r^T about the centres, per draw and group; zero for an empty one."""
        f, mf = self.features(sums[:, 0], sums[:, 1]), self.features(centres[0], centres[1])
        r, mr = sums[:, 2], centres[2]
        square, cross = self.square.clone(), self.cross.clone()
        for g, n in enumerate(draws.tolist()):
            square[g] += n * torch.outer(mf, mf) - torch.outer(f[g], mf) - torch.outer(mf, f[g])
            cross[g] += n * torch.outer(mf, mr) - torch.outer(f[g], mr) - torch.outer(mf, r[g])
        some = draws.clamp(min=1)[:, None, None]
        return square.div_(some), cross.div_(some)

    def with_network(
        self,
        draws: Float64[Tensor, "group"],
        sums: Float64[Tensor, "group 3 d"],
        centres: Float64[Tensor, "3 d"],
    ) -> Float64[Tensor, "2 k d"]:
        """E f x^T and E f y^T about the centres, per draw of all."""
        total, n = sums.sum(0)[:2], draws.sum()
        f, mf = self.features(*total), self.features(centres[0], centres[1])
        about = torch.stack(
            [
                n * torch.outer(mf, m) - torch.outer(f, m) - torch.outer(mf, v)
                for v, m in zip(total, centres[:2], strict=True)
            ]
        )
        return (self.with_features + about) / n


def ridge_solvers(
    square: Float64[Tensor, "k k"],
    ridges: Float64[Tensor, "ridge"],
    unseen: Float64[Tensor, "k"],
) -> Float64[Tensor, "ridge k k"]:
    """A of every ridge, with W = A E f r^T, in units of each feature; one that does not vary has slope 0."""
    size = square.diagonal().clamp(min=0).sqrt()
    unit = torch.where(size > 0, size, 1.0)
    correlation = square / torch.outer(unit, unit)
    penalized = correlation + torch.diag_embed(ridges[:, None] + unseen / unit**2)
    return torch.linalg.inv(penalized) / torch.outer(unit, unit)


def explained(
    solvers: Float64[Tensor, "ridge k k"],
    of_others: Float64[Tensor, "k d"],
    square: Float64[Tensor, "k k"],
    cross: Float64[Tensor, "k d"],
) -> Float64[Tensor, "ridge"]:
    """2 tr W^T E f r^T - tr W^T E f f^T W, what slopes W that others made take off E|r|^2.

    Both traces are of products of few features alone, so that no ridge costs a pass over the pixels.

    Args:
        solvers: A of every ridge.
        of_others: E f r^T of the others, W = A E f r^T.
        square, cross: E f f^T and E f r^T of those whose gain it is.
    """
    both, own = cross @ of_others.T, of_others @ of_others.T
    linear, quadratic = solvers * both, (solvers.mT @ square @ solvers) * own
    return (2 * linear - quadratic).sum((-2, -1))
