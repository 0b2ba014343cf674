"""Conditions of a network, checked before the network is given them: class labels and texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from theory.support.errors import InputError

TEXTS_KEPT = 1024

Encoding = tuple[Tensor, ...]
"""What a network is given of one text: tensors (1, ...)."""


def refuse_condition(condition: Any, reference: str) -> None:
    """Refuse any condition but None.

    Raises:
        InputError: a condition for an unconditional network.
    """
    if condition is not None:
        raise InputError(f"checkpoint: {reference} is unconditional, it takes no condition")


@dataclass(frozen=True)
class Labels:
    """Class labels 0 to count - 1, and perhaps one more that stands for no class.

    Attributes:
        count: number of classes.
        null: the label of no class, which None stands for too; None if there is no such label.
    """

    count: int
    null: int | None = None

    def __call__(self, condition: Any, images: int, device: Any) -> Tensor:
        """Labels (images,) int64 on a device.

        Raises:
            InputError: no integer labels, not one per image, or a label of no class.
        """
        if condition is None and self.null is not None:
            return torch.full((images,), self.null, device=device)
        expected = f"checkpoint: expected {images} class labels below {self.count}"
        if self.null is not None:
            expected += f" (or {self.null} for none)"
        if condition is None:
            raise InputError(f"{expected}, got no condition")
        try:
            labels = torch.as_tensor(condition)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{expected}, got {condition!r:.60}") from error
        whole = not (labels.is_floating_point() or labels.is_complex())
        if not whole or labels.dtype == torch.bool or labels.shape != (images,):
            raise InputError(f"{expected}, got {labels.dtype} of shape {tuple(labels.shape)}")
        known = (labels >= 0) & (labels < self.count)
        if self.null is not None:
            known |= labels == self.null
        if not known.all():
            raise InputError(f"{expected}, got {labels[~known][0].item()}")
        return labels.to(device, torch.int64)


class Texts:
    """Texts, each encoded once; the last ``TEXTS_KEPT`` encodings are kept on the CPU.

    Args:
        encode: one text -> what the network is given of it, tensors (1, ...).
    """

    def __init__(self, encode: Callable[[str], Encoding]) -> None:
        self._encode = lru_cache(TEXTS_KEPT)(lambda text: tuple(e.cpu() for e in encode(text)))

    def __call__(self, condition: Any, images: int, device: Any) -> Encoding:
        """Tensors (images, ...) on a device; None stands for the empty text.

        Raises:
            InputError: the condition is no list of one text per image.
        """
        texts = [""] * images if condition is None else condition
        if isinstance(texts, str) or not isinstance(texts, Sequence):
            raise InputError(
                f"checkpoint: expected a list of {images} texts, got {type(texts).__name__}"
            )
        if len(texts) != images or not all(isinstance(text, str) for text in texts):
            kinds = ", ".join(sorted({type(text).__name__ for text in texts}))
            raise InputError(
                f"checkpoint: expected a list of {images} texts, got {len(texts)} of {kinds}"
            )
        encoded = [self._encode(text) for text in texts]
        return tuple(torch.cat(parts).to(device) for parts in zip(*encoded, strict=True))
