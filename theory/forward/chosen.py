"""Some of the images of a set."""

from collections.abc import Iterator

import torch
from jaxtyping import Bool
from torch import Tensor

from theory.forward.calls import filled
from theory.forward.images import ImageSet, take
from theory.forward.survey import Survey


def chosen_images(whole: ImageSet, look: Survey, chosen: Bool[Tensor, "image"]) -> ImageSet:
    """The images of a set that are chosen, with their conditions, identities and units.

    Args:
        whole: the set.
        look: what is known of it.
        chosen: (n,), true where an image is kept.
    """
    conditions = take(whole.conditions, chosen.nonzero()[:, 0])
    return ImageSet(_Chosen(whole, look, chosen), conditions, whole.batch_size)


class _Chosen:
    """The images alone, in batches as full as those that they come from, which can be read again."""

    def __init__(self, whole: ImageSet, look: Survey, chosen: Bool[Tensor, "image"]) -> None:
        self.whole, self.chosen = whole, chosen
        self.ids, self.groups = look.ids[chosen], look.units[chosen]

    def __iter__(self) -> Iterator[Tensor]:
        yield from map(torch.cat, filled(self._parts()))

    def _parts(self) -> Iterator[tuple[Tensor, int]]:
        """Those of each batch, and how many the largest batch so far has."""
        first, most = 0, 0
        for batch in self.whole:
            here = self.chosen[first : first + len(batch)]
            first, most = first + len(batch), max(most, len(batch))
            if here.any():
                yield batch.images[here.to(batch.images.device)], most
