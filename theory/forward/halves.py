"""Images in two parts, of which one makes what the other judges."""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from theory.forward.images import ImageSet, take
from theory.support.errors import InputError


class _Chosen:
    """The chosen images of a set, in batches that can be read again."""

    def __init__(
        self, whole: ImageSet, chosen: Bool[Tensor, "image"], ids: Int64[Tensor, "image"]
    ) -> None:
        self.whole, self.chosen, self.ids = whole, chosen, ids[chosen]

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Tensor]:
        first = 0
        for batch in self.whole:
            here = self.chosen[first : first + len(batch)]
            first += len(batch)
            if here.any():
                yield batch.images[here.to(batch.images.device)]


def chosen_images(
    whole: ImageSet, chosen: Bool[Tensor, "image"], ids: Int64[Tensor, "image"]
) -> ImageSet:
    """The images of a set that are chosen, with their conditions and identities.

    Args:
        whole: the set.
        chosen: (n,), true where an image is kept.
        ids: (n,), of all images.
    """
    conditions = take(whole.conditions, chosen.nonzero()[:, 0])
    return ImageSet(_Chosen(whole, chosen, ids), conditions, whole.batch_size)


def first_of_each(units: Int64[Tensor, "image"]) -> Bool[Tensor, "image"]:
    """True at the first image of every unit: images of one unit are not independent."""
    _, inverse = units.unique(return_inverse=True)
    seen = torch.arange(len(units))
    earliest = torch.full((len(units),), len(units)).scatter_reduce(0, inverse, seen, "amin")
    return earliest[inverse] == seen


def two_halves(
    units: Int64[Tensor, "image"], seed: int
) -> tuple[Bool[Tensor, "image"], Bool[Tensor, "image"]]:
    """Which images make something, and which judge it: no unit is on both sides.

    Half of the units, drawn from the seed, come with all of their images, the others with one each,
    so that those that judge are independent.

    Raises:
        InputError: fewer than four units.
    """
    different, inverse = units.unique(return_inverse=True)
    if len(different) < 4:
        raise InputError(f"images: expected at least four different ones, got {len(different)}")
    order = torch.randperm(len(different), generator=torch.Generator().manual_seed(seed))
    makes = (order < len(different) // 2)[inverse]
    return makes, first_of_each(units) & ~makes
