"""Lead the sampler's own law to q_t, step by step, as far as moments tell (marginal matching).

A sampler visits laws of its own, p_i at its i-th time; what they should be is known from images
alone: u = a x_0 + s e has mean a mu and, in any orthonormal coordinates, variances a^2 v_j + s^2. With
n trajectories of the sampler as it is corrected so far, the affine map

    u -> a mu + g (u - m),    one g for each cell of coordinates,

makes the mean and the variance of u_{i+1} the known ones, m being the mean that it had. Both are
shrunk by what is noise in them. How many cells, and how much of the correction, is chosen on left-out
trajectories. The last step is left alone: a map after it would only repaint samples.

For one Gaussian with a covariance that is diagonal in these coordinates the map is exact, whatever the
number of steps. Epsilon scaling (Ning et al. 2024), time shifts and mean corrections are maps of this
kind whose size is searched or set by hand.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from theory.sampling.cells import kinds_for, partition
from theory.sampling.data_law import DataLaw
from theory.statistics.image_bases import Partition
from theory.support.errors import InputError

FOLDS = 4
GROUPS = 8
STRENGTHS = (0.5, 1.0)
KINDS = ("whole", "channel", "octave", "frequency")
WIDEST = 4.0
"""No variance is changed by a larger factor than this, nor by a smaller one than its inverse."""


@dataclass(frozen=True, eq=False)
class MomentMap:
    """u -> centre + offset + gain (u - centre), in the coordinates of a partition.

    Attributes:
        cells: of which each has one gain.
        gain: (cell,).
        centre: (d,), coordinates of the mean that the sampler had.
        offset: (d,), what is added to it.
    """

    cells: Partition
    gain: Float[Tensor, "cell"]
    centre: Float[Tensor, "d"]
    offset: Float[Tensor, "d"]

    def to(self, like: Tensor) -> "MomentMap":
        """The same where a tensor is, in its dtype."""
        return MomentMap(self.cells, self.gain.to(like), self.centre.to(like), self.offset.to(like))

    @cached_property
    def of_coordinates(self) -> tuple[Float[Tensor, "d"], Float[Tensor, "d"]]:
        """Gain and shift of every coordinate: u -> gain u + shift."""
        gain = self.gain[self.cells.index.to(self.gain.device)]
        return gain, self.offset + (1 - gain) * self.centre

    def apply(self, u: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """The mapped samples."""
        gain, shift = self.of_coordinates
        mapped = gain * self.cells.coordinates(u.flatten(1)) + shift
        return self.cells.flat(mapped).reshape(u.shape)


@dataclass(frozen=True, eq=False)
class MomentFit:
    """The map after one step.

    Attributes:
        map: None if none lowers the misfit of left-out trajectories.
        before, after: misfit of the moments on left-out trajectories, without and with.
    """

    map: MomentMap | None
    before: float
    after: float


@dataclass(frozen=True, eq=False)
class KnownMoments:
    """Mean and variances (d,) of q_t in the coordinates of a partition, and how many images they are from."""

    mean: Float64[Tensor, "d"]
    variance: Float64[Tensor, "d"]
    count: int

    @classmethod
    def of(cls, law: DataLaw, cells: Partition, a: float, s: float) -> "KnownMoments":
        """Those of u = a x_0 + s e."""
        values = cells.coordinates(law.images)
        mean = cells.coordinates(law.mean.flatten()[None])[0]
        return cls(a * mean, a**2 * values.var(0) + s**2, law.count)


def fit_moments(
    u: Float64[Tensor, "n *shape"],
    law: DataLaw,
    a: float,
    s: float,
    kinds: Sequence[str] = KINDS,
) -> MomentFit:
    """The affine map that leads samples to the known moments of u = a x_0 + s e.

    Args:
        u: positions of trajectories that are independent of each other.
        law: of the images.
        a, s: of the time that they are at.
        kinds: names of the partitions that are tried.
    """
    shape, flat = tuple(u.shape[1:]), u.flatten(1)
    fold = torch.arange(len(u)) % FOLDS
    names = [name for name in kinds_for(shape) if name in kinds]
    judged = partition("frequency" if "frequency" in names else "pixel", shape)
    truth = KnownMoments.of(law, judged, a, s)
    parts = [(flat[fold != k], flat[fold == k]) for k in range(FOLDS)]
    before = sum(misfit(judged.coordinates(left), truth) for _, left in parts) / FOLDS
    best, chosen = before, None
    for cells in (partition(name, shape) for name in names):
        known = KnownMoments.of(law, cells, a, s)
        for strength in STRENGTHS:
            found = 0.0
            for others, left in parts:
                mapped = moment_map(others, cells, known, strength).apply(left)
                found += misfit(judged.coordinates(mapped), truth) / FOLDS
            if found < best:
                best, chosen = found, (cells, known, strength)
    return MomentFit(moment_map(flat, *chosen) if chosen else None, before, best)


def moment_map(
    flat: Float64[Tensor, "n d"], cells: Partition, known: KnownMoments, strength: float
) -> MomentMap:
    """The map from moments of trajectories to the known ones, shrunk by what is noise in them.

    In each cell the correction of the mean keeps the share 1 - noise / |difference|^2, if that is
    positive (James and Stein), and the logarithm of the gain the same share of its own square.

    Args:
        flat: positions of trajectories, flattened.
        cells: which coordinates share a gain.
        known: the moments to be had.
        strength: how much of the correction is applied.
    """
    values = cells.coordinates(flat)
    n, mean, variance = len(flat), values.mean(0), values.var(0)
    noise = variance / n + known.variance / known.count
    difference = cells.sums((known.mean - mean).square())
    of_mean = (1 - cells.sums(noise) / difference.clamp(min=1e-300)).clamp(min=0)
    spread = (1 / n + 1 / known.count) / (2 * _effective(cells, variance))
    logs = _log_gain(cells, variance, known).square()
    of_gain = (1 - spread / logs.clamp(min=1e-300)).clamp(min=0)
    return map_between(mean, variance, known, cells, strength * of_mean, strength * of_gain)


def map_between(
    mean: Float64[Tensor, "d"],
    variance: Float64[Tensor, "d"],
    known: KnownMoments,
    cells: Partition,
    of_mean: Float64[Tensor, "*cell"],
    of_gain: Float64[Tensor, "*cell"],
) -> MomentMap:
    """The map from one mean and variances to the known ones, or a part of the way.

    Args:
        mean, variance: that there are, in the coordinates of the partition.
        known: that there should be.
        cells: which coordinates share a gain, the root of the ratio of their summed variances.
        of_mean, of_gain: shares of the way, of the means and of the logarithms of the gains.
    """
    most = math.log(WIDEST) / 2
    gain = (of_gain * _log_gain(cells, variance, known)).clamp(-most, most).exp()
    offset = of_mean.expand(cells.count)[cells.index] * (known.mean - mean)
    return MomentMap(cells, gain, mean, offset)


def _log_gain(cells: Partition, variance: Tensor, known: KnownMoments) -> Tensor:
    """Logarithm of the gain that makes the sum of the variances of each cell the known one."""
    return (cells.sums(known.variance) / cells.sums(variance).clamp(min=1e-300)).log() / 2


def moment_errors(
    u: Float64[Tensor, "n *shape"], law: DataLaw, a: float, s: float
) -> Float64[Tensor, "group"]:
    """Squared error of the sampler's moments, an unbiased value from each of eight groups.

    With d the standardized differences (m_j - m*_j) / sqrt(v*_j) and (v_j - v*_j) / (sqrt(2) v*_j) of a
    group of trajectories and a group of images, which has the known moments, a group's value is
    d . (mean d of the other groups). No image is in two groups, so its expectation is the squared error
    against the law of the images, and groups differ by the noise of both. Of the scales alone all
    images know.

    Args:
        u: positions of independent trajectories, two for each group at least.
        law: of the images, two for each group at least.
        a, s: of the time that they are at.

    Raises:
        InputError: fewer images than that.
    """
    if len(law.images) < 2 * GROUPS:
        raise InputError(f"images: expected {2 * GROUPS} at least, got {len(law.images)}")
    shape = tuple(u.shape[1:])
    cells = partition("frequency" if "frequency" in kinds_for(shape) else "pixel", shape)
    scale = KnownMoments.of(law, cells, a, s).variance
    values, images = cells.coordinates(u.flatten(1)), cells.coordinates(law.images)
    differences = []
    for g in range(GROUPS):
        own, theirs = values[g::GROUPS], images[g::GROUPS]
        mean = own.mean(0) - a * theirs.mean(0)
        variance = own.var(0) - a**2 * theirs.var(0) - s**2
        differences.append(torch.cat([mean / scale.sqrt(), variance / (math.sqrt(2) * scale)]))
    d = torch.stack(differences)
    others = (d.sum(0) - d) / (GROUPS - 1)
    return (d * others).sum(1)


def _effective(cells: Partition, variance: Tensor) -> Tensor:
    """How many coordinates of one variance a cell is worth: (sum v)^2 / sum v^2."""
    return cells.sums(variance).square() / cells.sums(variance.square()).clamp(min=1e-300)


def misfit(values: Float64[Tensor, "n d"], known: KnownMoments) -> float:
    """How far sample moments are from the known ones: the sum over coordinates of

        ((m - m*)^2 / v* + v / v* - 1 - log(v / v*)) / 2,

    the divergence between normal laws of these moments.
    """
    mean, ratio = values.mean(0), values.var(0) / known.variance
    return (
        (mean - known.mean).square() / known.variance + ratio - 1 - ratio.log()
    ).sum().item() / 2
