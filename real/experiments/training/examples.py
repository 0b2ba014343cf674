"""What a network learns from: images, with labels or without."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from real.images.base import ImageSource
from theory.support.errors import InputError


@dataclass(frozen=True)
class Examples:
    """What a network learns from.

    Attributes:
        images: (n, c, h, w) float32 in [-1, 1].
        labels: (n,) integers; None for an unconditional network.
        null_label: what a dropped label becomes.
    """

    images: Tensor
    labels: Tensor | None = None
    null_label: int | None = None

    def __len__(self) -> int:
        return len(self.images)

    def part(self, chosen: slice | Tensor) -> "Examples":
        """The examples at these positions."""
        labels = None if self.labels is None else self.labels[chosen]
        return Examples(self.images[chosen], labels, self.null_label)

    def to(self, device: torch.device) -> "Examples":
        """The same on a device."""
        labels = None if self.labels is None else self.labels.to(device)
        return Examples(self.images.to(device), labels, self.null_label)

    def counts(self, classes: int) -> list[int]:
        """Images of each class."""
        return [] if self.labels is None else self.labels.bincount(minlength=classes).tolist()

    def shuffled(self) -> "Examples":
        """The same examples, ordered by a hash of each image, so that their first order has no influence.

        Sets are often sorted by class; in this order any part is like the whole.
        """
        digests = [hashlib.blake2b(image.numpy().tobytes()).digest() for image in self._bytes()]
        return self.part(torch.tensor(sorted(range(len(self)), key=digests.__getitem__)))

    def without_labels(self) -> "Examples":
        """The same, each with the null label."""
        if self.labels is None or self.null_label is None:
            return self
        nulls = torch.full_like(self.labels, self.null_label)
        return Examples(self.images, nulls, self.null_label)

    def sha256(self) -> str:
        """Digest of the images as uint8 (n, c, h, w), then of the labels as int64."""
        digest = hashlib.sha256()
        for image in self._bytes():
            digest.update(image.numpy().tobytes())
        if self.labels is not None:
            digest.update(self.labels.numpy().astype("<i8").tobytes())
        return digest.hexdigest()

    def _bytes(self) -> Iterator[Tensor]:
        for image in self.images:
            yield ((image + 1) * 127.5).round().byte().contiguous()


def labelled(source: ImageSource, classes: int) -> Examples:
    """The images of a source with their labels, 0 to classes - 1; the null label is ``classes``.

    Raises:
        InputError: no labels, texts, or a label too large.
    """
    if not isinstance(source.labels, Tensor):
        got = "none" if source.labels is None else "texts"
        raise InputError(f"data: expected labels with the images of {source.name}, got {got}")
    largest = int(source.labels.max())
    if largest >= classes:
        raise InputError(
            f"data: expected labels from 0 to {classes - 1} in {source.name}, got {largest}"
        )
    return Examples(torch.cat(list(source)), source.labels, classes)
