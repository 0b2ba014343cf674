"""Images in two parts, of which one makes what the other judges."""

from collections.abc import Iterator

import torch
from jaxtyping import Bool
from torch import Tensor

from theory.forward.images import ImageSet, take
from theory.forward.survey import Survey
from theory.support.errors import InputError


class _Chosen:
    """The chosen images of a set, in batches that can be read again; who they are is as in the set."""

    def __init__(self, whole: ImageSet, look: Survey, chosen: Bool[Tensor, "image"]) -> None:
        self.whole, self.chosen = whole, chosen
        self.ids, self.groups = look.ids[chosen], look.units[chosen]

    def __iter__(self) -> Iterator[Tensor]:
        first = 0
        for batch in self.whole:
            here = self.chosen[first : first + len(batch)]
            first += len(batch)
            if here.any():
                yield batch.images[here.to(batch.images.device)]


def chosen_images(whole: ImageSet, look: Survey, chosen: Bool[Tensor, "image"]) -> ImageSet:
    """The images of a set that are chosen, with their conditions, identities and units.

    Args:
        whole: the set.
        look: what is known of it.
        chosen: (n,), true where an image is kept.
    """
    conditions = take(whole.conditions, chosen.nonzero()[:, 0])
    return ImageSet(_Chosen(whole, look, chosen), conditions, whole.batch_size)


def two_halves(look: Survey, seed: int) -> tuple[Bool[Tensor, "image"], Bool[Tensor, "image"]]:
    """Which images make something, and which judge it: no unit is on both sides.

    Half of the units, drawn from the seed, come with all of their images, the others with one each,
    so that those that judge are independent. The order of the images does not matter.

    Raises:
        InputError: fewer than four units.
    """
    if look.effective < 4:
        raise InputError(f"images: expected at least four different ones, got {look.effective}")
    order = torch.randperm(look.effective, generator=torch.Generator().manual_seed(seed))
    makes = (order < look.effective // 2)[look.units]
    return makes, look.firsts & ~makes
