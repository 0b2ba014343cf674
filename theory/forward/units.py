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
from torch import Tensor

from theory.forward.near_copies import near_copies


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
    count, copies = len(ids), _equal(ids)
    distinct = torch.from_numpy(np.unique(copies[:, 0]))
    same = [copies, near_copies(small, distinct)]
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
