"""What every source of images is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from theory.forward.images import DEFAULT_BATCH
from theory.support.errors import InputError

Role = Literal["training", "calibration", "held-out"]

UNSIGNED = {torch.uint16, torch.uint32, torch.uint64}
"""Whole numbers that torch keeps but does not compare."""

Labels = Tensor | list[str] | None
"""Classes as int64 (n,), or n texts, or nothing known."""


@dataclass(frozen=True)
class ImageSource:
    """Re-iterable batches of images: ``load(positions)`` gives those at the positions.

    Attributes:
        name: what the user called it.
        count: number of images, n.
        load: load(positions) -> float32 (b, c, h, w) in [-1, 1], or latents.
        labels: of the images in their order.
        ids: who the images are, int64 (n,), where their values do not tell (``theory.forward.images``).
    """

    name: str
    count: int
    load: Callable[[Sequence[int]], Tensor]
    batch_size: int = DEFAULT_BATCH
    labels: Labels = None
    ids: Tensor | None = None

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Tensor]:
        for first in range(0, self.count, self.batch_size):
            yield self.load(range(first, min(first + self.batch_size, self.count)))

    def at(self, positions: Sequence[int]) -> "ImageSource":
        """Those images, in that order."""
        labels = self.labels
        if labels is not None:
            labels = (
                labels[list(positions)] if isinstance(labels, Tensor) else _at(labels, positions)
            )
        ids = None if self.ids is None else self.ids[list(positions)]
        return replace(
            self, count=len(positions), labels=labels, ids=ids,
            load=lambda chosen: self.load([positions[k] for k in chosen]),
        )  # fmt: skip

    def spread(self, count: int) -> "ImageSource":
        """At most so many images, evenly spaced: sets are often sorted by class."""
        if count >= self.count:
            return self
        return self.at([i * self.count // count for i in range(count)])

    def every_other(self, start: int) -> "ImageSource":
        """The images start, start + 2, start + 4 ...: of two halves, that of 0 or that of 1."""
        return self.at(range(start, self.count, 2))


def _at(texts: list[str], positions: Sequence[int]) -> list[str]:
    return [texts[i] for i in positions]


def whole_labels(values: Tensor, count: int, where: str) -> Tensor:
    """Class labels as int64 (n,).

    Raises:
        InputError: not one whole number from 0 per image.
    """
    values = values.long() if values.dtype in UNSIGNED else values
    if tuple(values.shape) != (count,) or values.is_floating_point() or values.is_complex():
        raise InputError(
            f"data: expected one whole number per image ({count}) as labels in {where}, "
            f"got {values.dtype} {tuple(values.shape)}"
        )
    labels = values.long()  # torch finds no minimum of unsigned integers
    if count and int(labels.min()) < 0:
        raise InputError(f"data: expected labels from 0 in {where}, got {int(labels.min())}")
    return labels
