"""Conditions of images and of samples, as a network takes them."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from real.families.checkpoint import Checkpoint
from real.images.base import ImageSource
from real.images.latents import as_taken
from theory.forward.images import Conditions, ImageSet, take
from theory.support.errors import InputError

ConditionKind = Literal["joint", "null"]
"""Each image under its own condition, or all under the one that stands for none."""


@dataclass(frozen=True, eq=False)
class ConditionedImages(ImageSet):
    """Images in memory (n, *shape) with the condition of each; none for an unconditional network."""

    images: Tensor

    @classmethod
    def of(
        cls, checkpoint: Checkpoint, images: ImageSource, kind: ConditionKind, device: Any
    ) -> "ConditionedImages":
        """Read images as the network takes them: as latents where it works on them.

        Raises:
            InputError: as ``of_images``.
        """
        conditions = of_images(checkpoint, images, kind)
        return cls(torch.cat(list(as_taken(images, checkpoint.codec, device))), conditions)

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: Any) -> "ConditionedImages":
        """The same with the images on a device."""
        return replace(self, images=self.images.to(device))

    def at(self, positions: Tensor) -> "ConditionedImages":
        """The images at these positions."""
        return ConditionedImages(self.images[positions], take(self.conditions, positions))

    def every_other(self) -> "ConditionedImages":
        """The first, third, fifth ..."""
        return self.at(torch.arange(0, len(self), 2))

    def conditions_in_turn(self, count: int) -> Conditions | None:
        """Conditions of ``count`` samples: those of all images alike often, or spread evenly."""
        return take(self.conditions, torch.arange(count) * len(self) // count)


def of_images(
    checkpoint: Checkpoint, images: ImageSource, kind: ConditionKind
) -> Conditions | None:
    """Conditions of the images; None for an unconditional network.

    Raises:
        InputError: the network takes conditions that the images do not have, or knows none that
            stands for no condition; or the null one is wanted of an unconditional network.
    """
    if checkpoint.conditions is None:
        if kind == "null":
            raise InputError(
                f"condition: {checkpoint.reference} is unconditional, it has no null condition"
            )
        return None
    if kind == "null":
        null = checkpoint.null_condition
        if null is None:
            raise InputError(
                f"condition: {checkpoint.reference} knows no condition that stands for none"
            )
        return torch.full((len(images),), null) if isinstance(null, int) else [null] * len(images)
    classes = checkpoint.conditions if isinstance(checkpoint.conditions, int) else None
    if not isinstance(images.labels, list if classes is None else Tensor):
        what, field = ("texts", "text") if classes is None else ("class labels", "label")
        folders = "" if classes is None else "a subfolder for each class, or "
        raise InputError(
            f"data: the network takes {what}, {images.name} has none (add {folders}a field {field} in "
            "metadata.jsonl or metadata.csv; --condition null calibrates its branch without condition)"
        )
    if classes and isinstance(images.labels, Tensor) and int(images.labels.max()) >= classes:
        raise InputError(
            f"data: the network knows classes 0 to {classes - 1}, {images.name} has "
            f"labels up to {int(images.labels.max())}"
        )
    return images.labels


FEW = 0.5
"""Share of the classes that a sample of all would show, at which some are missing."""


def missing_classes(checkpoint: Checkpoint, conditions: Conditions | None) -> list[str]:
    """A line if the labels show far fewer classes than as many images of all of them would.

    n images that take C classes alike show C (1 - (1 - 1/C)^n) of them in the mean. A slice of a file
    that is sorted by class shows one or two.
    """
    classes = checkpoint.conditions
    if not isinstance(classes, int) or not isinstance(conditions, Tensor):
        return []
    shown = set(conditions.tolist()) - {checkpoint.null_condition}
    expected = classes * (1 - (1 - 1 / classes) ** len(conditions))
    if not shown or len(shown) > FEW * expected:
        return []
    return [f"the images are of {len(shown)} of the {classes} classes that it knows"]


def of_samples(checkpoint: Checkpoint, count: int, wanted: str | None) -> Conditions | None:
    """Conditions of ``count`` samples: the wanted one, or all classes in turn.

    Raises:
        InputError: no such class, a text network without a text, or an unconditional network.
    """
    if checkpoint.conditions is None:
        if wanted is not None:
            raise InputError(f"condition: {checkpoint.reference} is unconditional, got {wanted!r}")
        return None
    if isinstance(checkpoint.conditions, int):
        classes = checkpoint.conditions
        if wanted is None:
            return torch.arange(count) % classes
        if not wanted.isdecimal() or int(wanted) >= classes:
            raise InputError(f"condition: expected a class from 0 to {classes - 1}, got {wanted!r}")
        return torch.full((count,), int(wanted))
    return [wanted or ""] * count
