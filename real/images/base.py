"""What every source of images is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from theory.batches import DEFAULT_BATCH
from theory.errors import InputError

Role = Literal["training", "calibration", "held-out"]

Labels = Tensor | list[str] | None
"""Classes as int64 (n,), or n texts, or nothing known."""


@dataclass(frozen=True)
class ImageSource:
    """Re-iterable batches of images: ``load(i, j)`` gives images i to j - 1.

    Attributes:
        name: what the user called it.
        count: number of images, n.
        load: load(i, j) -> float32 (j - i, c, h, w) in [-1, 1], or latents.
        labels: of the images in their order.
    """

    name: str
    count: int
    load: Callable[[int, int], Tensor]
    batch_size: int = DEFAULT_BATCH
    labels: Labels = None

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Tensor]:
        for first in range(0, self.count, self.batch_size):
            yield self.load(first, min(first + self.batch_size, self.count))

    def first(self, count: int) -> "ImageSource":
        """The same with at most so many images."""
        count = min(count, self.count)
        labels = None if self.labels is None else self.labels[:count]
        return replace(self, count=count, labels=labels)

    def every_other(self, start: int) -> "ImageSource":
        """The images start, start + 2, start + 4 ...: of two halves, that of 0 or that of 1.

        Sets are often sorted by class, so that a first and a second half would not be alike.
        """
        labels = None if self.labels is None else self.labels[start::2]
        count = len(range(start, self.count, 2))
        return replace(self, count=count, labels=labels, load=self._every_other(start))

    def _every_other(self, start: int) -> Callable[[int, int], Tensor]:
        return lambda i, j: self.load(2 * i, min(2 * j, self.count))[start::2]


def whole_labels(values: Tensor, count: int, where: str) -> Tensor:
    """Class labels as int64 (n,).

    Raises:
        InputError: not one whole number from 0 per image.
    """
    if tuple(values.shape) != (count,) or values.is_floating_point() or values.is_complex():
        raise InputError(
            f"data: expected one whole number per image ({count}) as labels in {where}, "
            f"got {values.dtype} {tuple(values.shape)}"
        )
    if count and int(values.min()) < 0:
        raise InputError(f"data: expected labels from 0 in {where}, got {int(values.min())}")
    return values.long()
