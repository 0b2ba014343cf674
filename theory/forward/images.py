"""Images and their conditions, checked and in batches."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from theory.forward.fingerprints import image_ids
from theory.support.errors import InputError

Images = Tensor | Iterable[Any]
"""Images (n, *shape), or an iterable of batches (b, *shape) of them; checked by ``batches``.

An iterable may have an attribute ``ids``, int64 (n,): who its images are, where their values do not
tell, such as latents, which another batch size or device computes a little differently.
"""

Conditions = Tensor | Sequence[str]
"""One condition for each image in their order: a tensor (n, ...), such as class labels, or n texts."""

DEFAULT_BATCH = 256


@dataclass(frozen=True)
class Batch:
    """Images (b, *shape), their conditions if they have any, and who they are."""

    images: Float[Tensor, "b *shape"]
    conditions: Conditions | None = None
    given_ids: Int64[Tensor, "b"] | None = None

    @property
    def ids(self) -> Int64[Tensor, "b"]:
        """Identities (b,): those that the source gave, or else of the values."""
        return image_ids(self.images) if self.given_ids is None else self.given_ids

    def __len__(self) -> int:
        return len(self.images)

    def select(self, chosen: Bool[Tensor, "b"] | Int64[Tensor, "k"]) -> "Batch":
        """The chosen ones, by mask or by position."""
        positions = chosen.nonzero()[:, 0] if chosen.dtype == torch.bool else chosen
        ids = None if self.given_ids is None else self.given_ids[positions.cpu()]
        return Batch(self.images[positions], take(self.conditions, positions), ids)


def take(conditions: Conditions | None, positions: Int64[Tensor, "k"]) -> Conditions | None:
    """The conditions at these positions."""
    if conditions is None or isinstance(conditions, Tensor):
        return None if conditions is None else conditions[positions.to(conditions.device)]
    return [conditions[i] for i in positions.tolist()]


def batches(
    images: Images, batch_size: int = DEFAULT_BATCH, conditions: Conditions | None = None
) -> Iterator[Batch]:
    """Batches of checked images: floating point, finite, all of one shape.

    Raises:
        InputError: anything else, fewer than two images in all, or another number of conditions or
            identities.
    """
    shape, count, ids = None, 0, getattr(images, "ids", None)
    for images_here in images.split(batch_size) if isinstance(images, Tensor) else images:
        _require_images(images_here)
        shape = shape or images_here.shape[1:]
        if images_here.shape[1:] != shape:
            raise InputError(
                f"images: expected shape {tuple(shape)} throughout, "
                f"got {tuple(images_here.shape[1:])}"
            )
        first, count = count, count + len(images_here)
        if conditions is not None and len(conditions) < count:
            raise InputError(
                f"conditions: expected one for each image, got {len(conditions)} for more images"
            )
        if ids is not None and len(ids) < count:
            raise InputError(f"images: expected one identity each, got {len(ids)} for more images")
        yield Batch(
            images_here,
            take(conditions, torch.arange(first, count)),
            None if ids is None else ids[first:count],
        )
    if count < 2:
        raise InputError(f"images: expected at least two, got {count}")
    if conditions is not None and len(conditions) != count:
        raise InputError(
            f"conditions: expected one for each of {count} images, got {len(conditions)}"
        )


def _require_images(batch: Any) -> None:
    if not isinstance(batch, Tensor) or batch.dim() < 2 or not batch.is_floating_point():
        got = tuple(batch.shape) if isinstance(batch, Tensor) else type(batch).__name__
        kind = f" of {batch.dtype}" if isinstance(batch, Tensor) else ""
        raise InputError(f"images: expected floating-point batches (b, *shape), got {got}{kind}")
    if not torch.isfinite(batch).all():
        raise InputError("images: expected finite values, got NaN or infinity")
