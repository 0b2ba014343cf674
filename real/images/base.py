"""What every source of images is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from theory.forward.images import DEFAULT_BATCH, Conditions, take
from theory.support.errors import InputError
from theory.support.prefetch import prefetch

AHEAD = 2
"""Batches that are read while the network works on another one."""

MOST_NAMED = 100
"""Images that are named, of those that cannot be read."""

Role = Literal["training", "calibration", "held-out"]

Labels = Conditions | None
"""Classes as int64 (n,), or n texts, or nothing known."""


@dataclass(frozen=True)
class ImageSource:
    """Batches of images, which can be read again and again.

    Attributes:
        name: as the user gave it.
        count: number of images, n.
        load: load(positions) -> float32 (b, c, h, w) in [-1, 1], or latents.
        batch_size: images per batch.
        labels: of the images in their order.
        ids: identities int64 (n,) of the images, where their values do not tell them apart from
            others (``theory.forward.images``).
        notes: what a user may not expect of how they were found, a line each.
        groups: n texts; images of one text belong together, such as frames of a video.
    """

    name: str
    count: int
    load: Callable[[Sequence[int]], Tensor]
    batch_size: int = DEFAULT_BATCH
    labels: Labels = None
    ids: Tensor | None = None
    groups: Sequence[str] | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, images: Tensor, **more: Any) -> "ImageSource":
        """A source of images (n, c, h, w) in memory; ``more`` are attributes of the class."""
        return cls(name, len(images), lambda chosen: images[list(chosen)], **more)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Tensor]:
        """Batches in their order; threads read those that come next."""
        starts = range(0, self.count, self.batch_size)
        parts = (range(k, min(k + self.batch_size, self.count)) for k in starts)
        return (images for _, images in prefetch(self.load, parts, AHEAD))

    def at(self, positions: Sequence[int]) -> "ImageSource":
        """The images at these positions, in their order."""
        chosen = torch.tensor(positions, dtype=torch.int64)
        return replace(
            self, count=len(positions), labels=take(self.labels, chosen),
            ids=None if self.ids is None else self.ids[chosen],
            groups=None if self.groups is None else [self.groups[k] for k in positions],
            load=lambda some: self.load([positions[k] for k in some]),
        )  # fmt: skip

    def spread(self, count: int) -> "ImageSource":
        """At most ``count`` images, evenly spaced, as sets are often sorted by class."""
        return self if count >= self.count else self.in_turn(count)

    def in_turn(self, count: int) -> "ImageSource":
        """``count`` images, all of them alike often or spread evenly, as sets are often sorted by class."""
        return self.at([i * self.count // count for i in range(count)])

    def readable(self) -> "ImageSource":
        """Those that can be read, each of which is read once for that; the notes name the others."""
        said: dict[int, str] = {}

        def attempt(k: int) -> None:
            """Read one."""
            try:
                self.load([k])
            except InputError as error:
                said[k] = str(error)

        for _ in prefetch(attempt, range(self.count), 2 * AHEAD):
            pass
        if not said:
            return self
        bad = sorted(said)
        notes = [f"{self.name}: {len(bad)} of {self.count} images cannot be read and were skipped"]
        notes += [f"  skipped: {said[k]}" for k in bad[:MOST_NAMED]]
        notes += [f"  and {len(bad) - MOST_NAMED} more"] if len(bad) > MOST_NAMED else []
        good = [k for k in range(self.count) if k not in said]
        return replace(self.at(good), notes=(*self.notes, *notes))

    def every_other(self, start: int) -> "ImageSource":
        """The images start, start + 2, start + 4 ...: 0 and 1 give two halves; so many groups, if known."""
        if self.groups is None:
            return self.at(range(start, self.count, 2))
        number = {group: k for k, group in enumerate(dict.fromkeys(self.groups))}
        return self.at([i for i, group in enumerate(self.groups) if number[group] % 2 == start])

    def grouped(self, groups: Sequence[str]) -> "ImageSource":
        """The same with what belongs together.

        Raises:
            InputError: not one text for each image.
        """
        if len(groups) != self.count:
            raise InputError(
                f"groups: expected one for each of {self.count} images of {self.name}, got {len(groups)}"
            )
        return replace(self, groups=groups)


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
    labels = values.long()  # torch finds no minimum of unsigned integers
    if count and int(labels.min()) < 0:
        raise InputError(f"data: expected labels from 0 in {where}, got {int(labels.min())}")
    return labels
