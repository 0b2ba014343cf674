"""Images and their conditions, checked and in batches."""

from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from theory.forward.fingerprints import image_ids
from theory.support.checks import kind_of, require_at_least
from theory.support.errors import InputError

Images = Tensor | Iterable[Any]
"""Images (n, *shape), or an iterable of batches (b, *shape) of them; checked by ``ImageSet``.

An iterable may have an attribute ``ids``, int64 (n,): who its images are, where their values do not
tell, such as latents, which another batch size or device computes a little differently; and an
attribute ``groups``, n values: which of them belong together.
"""

Conditions = Tensor | Sequence[str]
"""One condition for each image in their order: a tensor (n, ...), such as class labels, or n texts."""

DEFAULT_BATCH = 256


@dataclass(frozen=True)
class Batch:
    """Images (b, *shape), their conditions if they have any, who they are, and what belongs together."""

    images: Float[Tensor, "b *shape"]
    conditions: Conditions | None = None
    given_ids: Int64[Tensor, "b"] | None = None
    groups: Int64[Tensor, "b"] | None = None

    @property
    def ids(self) -> Int64[Tensor, "b"]:
        """Identities (b,): those that the source gave, or else of the values."""
        return image_ids(self.images) if self.given_ids is None else self.given_ids

    def __len__(self) -> int:
        return len(self.images)

    def select(self, chosen: Bool[Tensor, "b"] | Int64[Tensor, "k"]) -> "Batch":
        """The chosen ones, by mask or by position."""
        positions = chosen.nonzero()[:, 0] if chosen.dtype == torch.bool else chosen
        ids, groups = (
            None if known is None else known[positions.cpu()]
            for known in (self.given_ids, self.groups)
        )
        return Batch(self.images[positions], take(self.conditions, positions), ids, groups)

    @classmethod
    def joined(cls, batches: Sequence["Batch"]) -> "Batch":
        """Batches of one set as one, in their order."""
        ids = [batch.given_ids for batch in batches if batch.given_ids is not None]
        groups = [batch.groups for batch in batches if batch.groups is not None]
        return cls(
            torch.cat([batch.images for batch in batches]),
            _joined([batch.conditions for batch in batches]),
            torch.cat(ids) if ids else None,
            torch.cat(groups) if groups else None,
        )


def is_picture(shape: tuple[int, ...]) -> bool:
    """Whether these are the pixels of a grey or coloured picture, whose mirror image is one, too."""
    return len(shape) == 3 and shape[0] in (1, 3)


def take(conditions: Conditions | None, positions: Int64[Tensor, "k"]) -> Conditions | None:
    """The conditions at these positions."""
    if conditions is None or isinstance(conditions, Tensor):
        return None if conditions is None else conditions[positions.to(conditions.device)]
    return [conditions[i] for i in positions.tolist()]


def _joined(conditions: Sequence[Conditions | None]) -> Conditions | None:
    """The conditions of batches in their order."""
    tensors = [some for some in conditions if isinstance(some, Tensor)]
    if tensors:
        return torch.cat(tensors)
    return [one for some in conditions if some is not None for one in some] or None


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images and their conditions as checked batches, which can be read again and again.

    Attributes:
        images: (n, *shape) floating point, or a re-iterable of such batches.
        conditions: one for each image, if the network takes any.
        batch_size: of the batches that a tensor is split into; an iterable keeps its own.
        groups: one value for each image; images of one value are not independent of each other.
    """

    images: Images
    conditions: Conditions | None = None
    batch_size: int = DEFAULT_BATCH
    groups: Sequence[Any] | Tensor | None = None

    def __iter__(self) -> Iterator[Batch]:
        """Batches of checked images: floating point, finite, all of one shape.

        Raises:
            InputError: anything else, fewer than two images in all, or another number of conditions
                or identities than of images.
        """
        require_at_least("batch size", self.batch_size, 1)
        if not isinstance(self.images, Iterable) or (
            isinstance(self.images, Tensor) and (not self.images.dim() or self.images.requires_grad)
        ):
            raise InputError(
                "images: expected a tensor (n, *shape) without gradients, or batches of them, "
                f"got {kind_of(self.images)}"
            )
        if isinstance(self.conditions, str) or not isinstance(self.conditions, Sized | None):
            raise InputError(
                f"conditions: expected one for each image, got {kind_of(self.conditions)}"
            )
        shape, count, ids = None, 0, getattr(self.images, "ids", None)
        images_or_batches, groups = self.images, self._group_numbers()
        if isinstance(images_or_batches, Tensor):
            images_or_batches = images_or_batches.split(int(self.batch_size))
        for images in images_or_batches:
            _require_images(images)
            shape = shape or images.shape[1:]
            if images.shape[1:] != shape:
                raise InputError(
                    f"images: expected shape {tuple(shape)} throughout, got {tuple(images.shape[1:])}"
                )
            first, count = count, count + len(images)
            self._require_as_many(count, ids, groups)
            positions = torch.arange(first, count)
            yield Batch(
                images,
                take(self.conditions, positions),
                None if ids is None else ids[first:count],
                None if groups is None else groups[first:count],
            )
        if count < 2:
            raise InputError(f"images: expected at least two, got {count}")
        if self.conditions is not None and len(self.conditions) != count:
            raise InputError(
                f"conditions: expected one for each of {count} images, got {len(self.conditions)}"
            )
        if groups is not None and len(groups) != count:
            raise InputError(f"groups: expected one for each of {count} images, got {len(groups)}")

    def _group_numbers(self) -> Int64[Tensor, "image"] | None:
        """The groups as numbers, equal where they are."""
        given = getattr(self.images, "groups", None) if self.groups is None else self.groups
        if given is None:
            return None
        if isinstance(given, str) or not isinstance(given, Sequence | Tensor):
            raise InputError(f"groups: expected one for each image, got {kind_of(given)}")
        values = given.tolist() if isinstance(given, Tensor) else list(given)
        number = {value: k for k, value in enumerate(dict.fromkeys(map(str, values)))}
        return torch.tensor([number[str(value)] for value in values], dtype=torch.int64)

    def _require_as_many(self, count: int, ids: Tensor | None, groups: Tensor | None) -> None:
        """At least as many conditions, identities and groups as images so far."""
        if self.conditions is not None and len(self.conditions) < count:
            raise InputError(
                f"conditions: expected one for each image, got {len(self.conditions)} for more images"
            )
        if ids is not None and len(ids) < count:
            raise InputError(f"images: expected one identity each, got {len(ids)} for more images")
        if groups is not None and len(groups) < count:
            raise InputError(
                f"groups: expected one for each image, got {len(groups)} for more images"
            )


class Unseen:
    """The images that a calibration was not made from, nor are mirror images of such; re-iterable.

    ``left_out`` counts, after a pass, those that it was made from.
    """

    def __init__(
        self, images: Iterable[Batch], seen: Int64[Tensor, "image"], shape: tuple[int, ...]
    ) -> None:
        self.images, self.seen, self.shape, self.left_out = images, seen, shape, 0

    def __iter__(self) -> Iterator[Batch]:
        """Batches of what has not been seen.

        Raises:
            InputError: images of another shape, or fewer than two that have not been seen.
        """
        self.left_out, kept = 0, 0
        for batch in self.images:
            got = tuple(batch.images.shape[1:])
            if got != self.shape:
                raise InputError(f"images: expected shape {self.shape}, got {got}")
            seen = torch.isin(batch.ids, self.seen)
            if batch.given_ids is None and is_picture(got):
                seen |= torch.isin(image_ids(batch.images.flip(-1)), self.seen)
            self.left_out += int(seen.sum())
            unseen = batch.select(~seen)
            kept += len(unseen)
            if len(unseen):
                yield unseen
        if kept < 2:
            raise InputError(
                f"images: expected at least two that the calibration has not seen, got {kept} "
                f"({self.left_out} were used to make it)"
            )


def _require_images(batch: Any) -> None:
    if not isinstance(batch, Tensor) or batch.dim() < 2 or not batch.is_floating_point():
        got = tuple(batch.shape) if isinstance(batch, Tensor) else type(batch).__name__
        kind = f" of {batch.dtype}" if isinstance(batch, Tensor) else ""
        raise InputError(f"images: expected floating-point batches (b, *shape), got {got}{kind}")
    if not torch.isfinite(batch).all():
        raise InputError("images: expected finite values, got NaN or infinity")
