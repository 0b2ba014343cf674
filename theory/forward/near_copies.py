"""Near copies and mirror images among many pictures: pairs of small thumbnails that are nearly the same.

Thumbnails u and v of norm one with u.v > 1 - eps are closer than r = sqrt(2 eps), and so are their
coordinates along any axis. Thumbnails are dealt out to strips, no narrower than r, along the first
principal axis, and sorted along the second within each; only those of neighbouring strips whose second
coordinates are within r are compared, block by block.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float16, Int64
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from theory.forward.images import is_picture

SIDE = 8
"""Side of a thumbnail, in pixels."""

LIKENESS = 0.999
"""Correlation of two thumbnails above which their images are copies: at JPEG quality 90 copies of
photographs and of small drawings have 0.9995 and more, other images of their kind nearly never."""

RADIUS = 1.01 * (2 * (1 - LIKENESS)) ** 0.5
"""How far apart two copies are at most, with room for rounding."""

ROWS, COLUMNS = 256, 4096
"""Thumbnails that are compared at once."""

FULL = 1024
"""Thumbnails in a strip on average, at least; fewer take longer one strip at a time."""


def thumbnails(images: Float[Tensor, "b *shape"]) -> Float16[Tensor, "b pixel"]:
    """Grey thumbnails, centred, of norm one; zero for what is flat, empty for what is no picture.

    In half precision, as there is one of each image: it changes a correlation by 1e-5.
    """
    shape = images.shape[1:]
    if not is_picture(tuple(shape)) or min(shape[1:]) < SIDE:
        return images.new_zeros(len(images), 0, dtype=torch.float16)
    grey = images.to("cpu", torch.float32).mean(1, keepdim=True)
    small = adaptive_avg_pool2d(grey, SIDE).flatten(1)
    small = small - small.mean(1, keepdim=True)
    norm = small.norm(dim=1, keepdim=True)
    return torch.where(norm > 1e-6, small / norm, 0.0).half()


def near_copies(
    small: Float[Tensor, "n pixel"], chosen: Int64[Tensor, "k"]
) -> Int64[np.ndarray, "pair 2"]:
    """Pairs that connect whatever is alike among the chosen thumbnails, mirror images included.

    Not every pair of a cluster is named, but its members are connected by the pairs.
    """
    if not small.shape[1]:
        return np.empty((0, 2), np.int64)
    chosen = chosen[small[chosen].any(1)]
    if len(chosen) < 2:
        return np.empty((0, 2), np.int64)
    axes = _two_axes(small, chosen)
    targets = _Sorted.along(axes, small, chosen, mirrored=False)
    found = [np.empty((0, 2), np.int64), *_alike(targets, targets)]
    found += _alike(_Sorted.along(axes, small, chosen, mirrored=True), targets)
    return np.concatenate(found)


def _two_axes(small: Tensor, chosen: Tensor) -> Float[Tensor, "pixel 2"]:
    """The first two principal axes."""
    total, square = torch.zeros(small.shape[1]), torch.zeros(small.shape[1], small.shape[1])
    for some in chosen.split(COLUMNS):
        values = small[some].float()
        total += values.sum(0)
        square += values.T @ values
    _, axes = torch.linalg.eigh(square - torch.outer(total, total) / len(chosen))
    return axes[:, -2:].flip(1)


def _mirrored(values: Float[Tensor, "n pixel"]) -> Float[Tensor, "n pixel"]:
    return values.reshape(-1, SIDE, SIDE).flip(2).flatten(1)


@dataclass(frozen=True)
class _Sorted:
    """Thumbnails, or their mirror images, in the order of their strips and of ``along`` within each.

    Attributes:
        small: all thumbnails.
        members: positions among all, in this order.
        strip: of each member.
        second: the coordinate of each member along the second axis.
        mirrored: whether mirror images are meant.
    """

    small: Tensor
    members: Tensor
    strip: np.ndarray
    second: np.ndarray
    mirrored: bool

    @classmethod
    def along(cls, axes: Tensor, small: Tensor, chosen: Tensor, *, mirrored: bool) -> "_Sorted":
        """The chosen ones in their order."""
        turned = _mirrored if mirrored else torch.clone
        parts = [turned(small[some].float()) @ axes for some in chosen.split(COLUMNS)]
        first, second = torch.cat(parts).numpy().T
        strip = np.floor(first / max(RADIUS, 2 * FULL / len(first))).astype(np.int64)
        order = np.lexsort((second, strip))
        members = chosen[torch.from_numpy(order)]
        return cls(small, members, strip[order], second[order], mirrored)

    def values(self, part: slice) -> Tensor:
        """Some of them in float32."""
        values = self.small[self.members[part]].float()
        return _mirrored(values) if self.mirrored else values

    def blocks(self) -> Iterator[slice]:
        """Runs of members of one strip."""
        edges = np.flatnonzero(np.diff(self.strip)) + 1
        for first, end in zip([0, *edges], [*edges, len(self.strip)], strict=True):
            for start in range(first, end, ROWS):
                yield slice(start, min(start + ROWS, end))

    def near(self, strip: int, least: float, most: float) -> Iterator[slice]:
        """Those of a strip whose second coordinate is within ``RADIUS`` of a range."""
        first, end = np.searchsorted(self.strip, [strip, strip + 1])
        inside = np.searchsorted(self.second[first:end], [least - RADIUS, most + RADIUS])
        start, stop = (first + inside).tolist()
        for k in range(start, stop, COLUMNS):
            yield slice(k, min(k + COLUMNS, stop))


def _alike(left: _Sorted, right: _Sorted) -> Iterator[Int64[np.ndarray, "pair 2"]]:
    """Pairs of one of the left and one of the right that are alike, enough to connect them all."""
    for block in left.blocks():
        values, own = left.values(block), int(left.strip[block.start])
        least, most = float(left.second[block.start]), float(left.second[block.stop - 1])
        for strip in range(own - 1, own + 2):
            for near in right.near(strip, least, most):
                alike = (values @ right.values(near).T > LIKENESS).numpy()
                yield _connecting(alike, left.members[block].numpy(), right.members[near].numpy())


def _connecting(
    alike: np.ndarray, left: Int64[np.ndarray, "row"], right: Int64[np.ndarray, "column"]
) -> Int64[np.ndarray, "pair 2"]:
    """The pairs that are alike; of very many, a few that connect the same ones."""
    rows, columns = np.nonzero(alike)
    pairs = np.stack([left[rows], right[columns]], 1)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    if len(pairs) <= len(left) + len(right):
        return pairs
    members, local = np.unique(pairs, return_inverse=True)
    first, second = local.reshape(pairs.shape).T
    links = coo_matrix((np.ones(len(first)), (first, second)), shape=(len(members),) * 2)
    _, cluster = connected_components(links, directed=False)
    _, representative = np.unique(cluster, return_index=True)
    return np.stack([members[representative[cluster]], members], 1)
