"""Which images are independent of each other: copies of one image are one unit.

What is averaged over images is only as sure as they are many and independent. Exact copies, mirror
images and near copies (other sizes or compressions of the same picture) go together, and so do
images that the user says belong together, such as frames of a video.
"""

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from theory.forward.images import is_picture

SIDE = 8
"""Side of a thumbnail, in pixels."""

AXES = 12
"""Principal axes along which likely pairs are looked for; in all pixels that takes far longer."""

LIKENESS = 0.999
"""Correlation of two thumbnails above which their images are copies: at JPEG quality 90 copies of
photographs and of small drawings have 0.9995 and more, other images of their kind nearly never."""


def thumbnails(images: Float[Tensor, "b *shape"]) -> Float[Tensor, "b pixel"]:
    """Grey thumbnails, centred, of norm one; zero for what is flat, empty for what is no picture."""
    shape = images.shape[1:]
    if not is_picture(tuple(shape)) or min(shape[1:]) < SIDE:
        return images.new_zeros(len(images), 0, dtype=torch.float32)
    grey = images.to("cpu", torch.float32).mean(1, keepdim=True)
    small = adaptive_avg_pool2d(grey, SIDE).flatten(1)
    small = small - small.mean(1, keepdim=True)
    norm = small.norm(dim=1, keepdim=True)
    return torch.where(norm > 1e-6, small / norm, 0.0)


def units_of(
    ids: Int64[Tensor, "n"],
    small: Float[Tensor, "n pixel"],
    groups: Int64[Tensor, "n"] | None = None,
) -> Int64[Tensor, "n"]:
    """The unit of each image, numbered from 0 in the order of their least identities.

    Args:
        ids: identities of the images; equal ones are exact copies.
        small: thumbnails.
        groups: what the user knows to belong together, equal numbers.
    """
    count, same = len(ids), [_equal(ids), _alike(small)]
    if groups is not None:
        same.append(_equal(groups))
    first, second = np.concatenate(same, 0).T
    links = coo_matrix((np.ones(len(first)), (first, second)), shape=(count, count))
    _, unit = connected_components(links, directed=False)
    _, first = np.unique(unit[np.argsort(ids.numpy(), kind="stable")], return_index=True)
    return torch.from_numpy(np.argsort(np.argsort(first))[unit]).long()


def _equal(numbers: Int64[Tensor, "n"]) -> np.ndarray:
    """Pairs (n, 2): each image with the first one of its number."""
    values = numbers.numpy()
    _, first, which = np.unique(values, return_index=True, return_inverse=True)
    return np.stack([first[which], np.arange(len(values))], 1)


def _alike(small: Float[Tensor, "n pixel"]) -> np.ndarray:
    """Pairs (k, 2) of images whose thumbnails, or one's and the other's mirror image, are alike."""
    known = torch.nonzero(small.any(1))[:, 0].numpy() if small.shape[1] else np.empty(0, int)
    if len(known) < 2:
        return np.empty((0, 2), int)
    points = small[known].double().numpy()
    mirrored = points.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(points.shape)
    _, _, axes = np.linalg.svd(points - points.mean(0), full_matrices=False)
    first, other = (cKDTree(of @ axes[:AXES].T) for of in (points, mirrored))
    radius = (2 * (1 - LIKENESS)) ** 0.5
    same = first.query_pairs(radius, output_type="ndarray")
    turned = other.sparse_distance_matrix(first, radius, output_type="ndarray")
    turned = np.stack([turned["i"], turned["j"]], 1)
    pairs = [_confirmed(points, points, same), _confirmed(mirrored, points, turned)]
    return known[np.concatenate(pairs, 0)]


def _confirmed(left: np.ndarray, right: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The pairs that are alike in all of their pixels."""
    alike = np.einsum("kp,kp->k", left[pairs[:, 0]], right[pairs[:, 1]])
    return pairs[alike > LIKENESS]
