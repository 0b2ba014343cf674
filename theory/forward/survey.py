"""A first look at the images, without the network: how many, which, and their mean."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from theory.forward.fingerprints import numbered
from theory.forward.images import ImageSet, Unseen
from theory.forward.near_copies import thumbnails
from theory.forward.units import units_of
from theory.support.errors import InputError


@dataclass(frozen=True)
class MeanImage:
    """The mean of all the images there are, and how many they are."""

    mean: Float64[Tensor, "*shape"]
    count: int


@dataclass(frozen=True)
class Survey:
    """A first look at all images.

    Attributes:
        ids: their identities.
        mean_image: their mean.
        units: (n,), which of them are copies of each other or belong together; numbered from 0, in
            no order of the images.
    """

    ids: Int64[Tensor, "image"]
    mean_image: MeanImage
    units: Int64[Tensor, "image"]

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self.ids)

    @property
    def effective(self) -> int:
        """How many of them are independent: the number of units."""
        return int(self.units.max()) + 1

    @property
    def ranks(self) -> Int64[Tensor, "image"]:
        """The place of each image among all, which does not depend on the order they come in."""
        return numbered(self.ids).argsort().argsort()

    @property
    def firsts(self) -> Bool[Tensor, "image"]:
        """True for the image of least rank in each unit."""
        order = self.ranks.argsort()
        _, first = np.unique(self.units[order].numpy(), return_index=True)
        return torch.zeros(self.count, dtype=torch.bool).index_fill_(0, order[first], True)

    @property
    def clustered(self) -> bool:
        """Whether some images belong together."""
        return self.effective < self.count


def survey(images: ImageSet | Unseen) -> Survey:
    """Read every image once, count the conditions, and tell which images are copies.

    Raises:
        InputError: images that ``ImageSet`` refuses, or that can be read only once.
    """
    if isinstance(images.images, Iterator):
        raise InputError(
            "images: expected a tensor or batches that can be read again, such as a list, "
            f"got {type(images.images).__name__}, which can be read only once"
        )
    ids, small, groups, total = [], [], [], torch.zeros(())
    for batch in images:
        ids.append(batch.ids)
        groups += [] if batch.groups is None else [batch.groups]
        small.append(thumbnails(batch.images))
        total = total + batch.images.double().cpu().sum(0)
    identities = torch.cat(ids)
    units = units_of(identities, torch.cat(small), torch.cat(groups) if groups else None)
    return Survey(identities, MeanImage(total / len(identities), len(identities)), units)
