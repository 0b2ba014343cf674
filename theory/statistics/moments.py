"""Streaming, mergeable moments of per-image vectors, and unbiased estimates from them.

A unit is one image's vector r_i (the mean over its noise draws). Sums are kept in float64 by
group of images, so that the error of a quadratic statistic can be estimated by leaving out one
group at a time, and so that sums merge by addition.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from theory.statistics.intervals import Estimate


@dataclass(frozen=True)
class Contrast:
    """Sums over images by group of d_i and |d_i|^2: pure noise of each image's unit.

    d_i is half the difference of r_i's two independent halves of draws, so that it has mean zero
    and the covariance of r_i given the image.
    """

    total: Float64[Tensor, "g *shape"]
    square: Float64[Tensor, "g"]


@dataclass(frozen=True)
class Moments:
    """Sums over images by group: of 1, of r_i, of |r_i|^2.

    Attributes:
        count: number of images of each group.
        total: sums of r_i.
        square: sums of |r_i|^2.
        common_error: energy of an error that all units share, such as that of a mean image.
        clustered: whether images of one group may depend on each other; errors are then taken from the
            groups alone.
        contrast: separates the noise of the units from their variation between images; None if
            the images had too few draws for it.
    """

    count: Float64[Tensor, "g"]
    total: Float64[Tensor, "g *shape"]
    square: Float64[Tensor, "g"]
    common_error: float = 0.0
    contrast: Contrast | None = None
    clustered: bool = False

    @classmethod
    def empty(cls, shape: tuple[int, ...], groups: int) -> "Moments":
        """No images yet."""
        zeros = torch.zeros(groups, dtype=torch.float64)
        return cls(zeros, torch.zeros(groups, *shape, dtype=torch.float64), zeros.clone())

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.count + other.count, self.total + other.total, self.square + other.square
        )

    def tensors(self) -> dict[str, Tensor]:
        """The sums by name, as they are and no copies."""
        return {"count": self.count, "total": self.total, "square": self.square}

    def to(self, device: Any) -> "Moments":
        """A copy on this device, without the contrast, which is computed later."""
        return Moments(
            self.count.to(device), self.total.to(device), self.square.to(device), self.common_error
        )

    def add_(self, group: Int64[Tensor, "b"], units: Float64[Tensor, "b *shape"]) -> None:
        """Add the units of a batch in place; ``group`` is the group of each image."""
        group = group.to(units.device)
        self.count.index_add_(0, group, units.new_ones(len(units)))
        self.total.index_add_(0, group, units)
        self.square.index_add_(0, group, units.square().flatten(1).sum(1))

    @property
    def n(self) -> int:
        """Number of images."""
        return round(self.count.sum().item())

    @property
    def mean(self) -> Tensor:
        """The mean vector, (*shape)."""
        return self.total.sum(0) / self.n

    def error_energy(self) -> float:
        """Unbiased estimate of E|mean - E r|^2 = tr Cov(r) / n, plus the common error."""
        if self.clustered:
            return self._spread_of_groups() + self.common_error
        n, square = self.n, self.square.sum().item()
        spread = (square - n * self.mean.square().sum().item()) / (n * (n - 1))
        return spread + self.common_error

    def _spread_of_groups(self) -> float:
        """E|mean - E r|^2 from the sums of the groups: G/(G - 1) sum_g |T_g - n_g mean|^2 / n^2."""
        used = self.count > 0
        groups, count = self.total[used].flatten(1), self.count[used]
        k = len(groups)
        apart = groups - count[:, None] * self.mean.flatten()
        return (k / max(1, k - 1) * apart.square().sum() / self.n**2).item()

    def squared_norm(self) -> Estimate:
        """Unbiased |E r|^2 of the population, (|sum r_i|^2 - sum |r_i|^2) / (n (n - 1)).

        It is unbiased for any n, and may be negative; where images depend on each other, only products
        of different groups enter. The interval is Student's with a
        delete-a-group jackknife error (asymptotic; conservative if E r is zero).
        """
        used = self.count > 0
        count, square = self.count[used], self.square[used]
        groups = self.total[used].flatten(1)
        if self.clustered:
            return _squared_norm_of_groups(groups, count, self.common_error)
        total = groups.sum(0)
        value = _u_statistic(total.square().sum(), square.sum(), count.sum()) - self.common_error
        left = count.sum() - count
        if len(left) < 3 or bool((left < 2).any()):
            return Estimate.from_error(value.item(), math.inf, 0)
        norm_left = total.square().sum() - 2 * groups @ total + groups.square().sum(1)
        without = _u_statistic(norm_left, square.sum() - square, left)
        k = len(left)
        error = ((k - 1) / k * (without - without.mean()).square().sum()).sqrt()
        return Estimate.from_error(value.item(), error.item(), k - 1)

    def squared_norm_of_set(self) -> Estimate:
        """|m|^2 for m the mean of r over the noise and over these very images, not a population.

        With a contrast it is |mean|^2 - sum |d_i|^2 / n^2, which is unbiased for any n; its
        variance 4 m C m + 2 tr C^2, C = sum_i Cov(d_i) / n^2, is bounded by 4 mean C mean over
        groups (asymptotic, and conservative where m is small). Without a contrast, noise cannot be
        separated from variation between images: the value is the population's, and the interval
        extends to the value that holds if there is no noise at all.
        """
        of_population, n = self.squared_norm(), self.n
        plain = self.mean.square().sum().item()
        if self.contrast is None:
            above = of_population.upper - of_population.value
            return Estimate(of_population.value, of_population.lower, plain + above)
        value = plain - self.contrast.square.sum().item() / n**2 - self.common_error
        along = self.contrast.total.flatten(1) @ self.mean.flatten() / n
        return Estimate.from_error(value, 2 * along.norm().item(), len(along) - 1)


def _u_statistic(norm_of_sum: Tensor, sum_of_norms: Tensor, n: Tensor) -> Tensor:
    return (norm_of_sum - sum_of_norms) / (n * (n - 1))


def _squared_norm_of_groups(groups: Tensor, count: Tensor, common_error: float) -> Estimate:
    """(|sum_g T_g|^2 - sum_g |T_g|^2) / (n^2 - sum_g n_g^2), with its delete-a-group jackknife error."""
    k = len(groups)
    norms = groups @ groups.T

    def without(g: int | None) -> float:
        """The statistic without one group."""
        kept = torch.arange(k) != (-1 if g is None else g)
        inner, n = norms[kept][:, kept], count[kept]
        return ((inner.sum() - inner.trace()) / (n.sum() ** 2 - n.square().sum())).item()

    if k < 2:
        return Estimate.from_error(0.0, math.inf, 0)
    value = without(None) - common_error
    if k < 3:
        return Estimate.from_error(value, math.inf, 0)
    left = torch.tensor([without(g) for g in range(k)], dtype=torch.float64)
    error = ((k - 1) / k * (left - left.mean()).square().sum()).sqrt().item()
    return Estimate.from_error(value, error, k - 1)
