"""A first look at the images, without the network: how many, which, and their mean."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from theory.forward.images import ImageSet
from theory.support.errors import InputError


@dataclass(frozen=True)
class MeanImage:
    """The mean of all the images there are, and how many they are."""

    mean: Float64[Tensor, "*shape"]
    count: int


@dataclass(frozen=True)
class Survey:
    """The identities of all images, and their mean."""

    ids: Int64[Tensor, "image"]
    mean_image: MeanImage

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self.ids)


def survey(images: ImageSet) -> Survey:
    """Read every image once, and count the conditions.

    Raises:
        InputError: images that ``ImageSet`` refuses, or that can be read only once.
    """
    if isinstance(images.images, Iterator):
        raise InputError(
            "images: expected a tensor or batches that can be read again, such as a list, "
            f"got {type(images.images).__name__}, which can be read only once"
        )
    ids, total = [], torch.zeros(())
    for batch in images:
        ids.append(batch.ids)
        total = total + batch.images.double().cpu().sum(0)
    count = sum(map(len, ids))
    return Survey(torch.cat(ids), MeanImage(total / count, count))
