"""What images are compared by: their pixels, a small network trained on some, or Inception."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from real.images import ImageSource
from theory.support.errors import InputError

TINY = 256
"""Images of at most so many numbers are compared by their pixels unless asked otherwise."""

CHOICES = ("pixels", "trained", "inception")


@dataclass(frozen=True)
class Features:
    """A map of images (b, c, h, w) in [-1, 1] to features (b, d).

    Attributes:
        distance: what the Frechet distance between such features is called.
        description: what they are, in words.
    """

    distance: str
    description: str
    extract: Callable[[Tensor], Tensor]


PIXELS = Features("Frechet distance (pixels)", "all pixels as they are", lambda x: x.flatten(1))


def chosen(
    name: str | None, images: ImageSource, shape: tuple[int, ...], seed: int, device: Any
) -> Features:
    """The features of that name, or else pixels for tiny images and trained ones for others.

    Args:
        images: to train features on; never those that samples are compared with.

    Raises:
        InputError: an unknown name, or a library that is not installed.
    """
    from real.quality.inception import inception
    from real.quality.trained_features import train

    match name or ("pixels" if torch.Size(shape).numel() <= TINY else "trained"):
        case "pixels":
            return PIXELS
        case "trained":
            return train(images, seed, device)
        case "inception":
            return inception(device)
        case other:
            raise InputError(f"features: expected one of {', '.join(CHOICES)}, got {other!r}")


@torch.no_grad()
def features_of(features: Features, batches: Iterable[Tensor], device: Any) -> Tensor:
    """Features of batches of images, float32 (n, d) on the CPU."""
    return torch.cat([features.extract(b.to(device)).to("cpu", torch.float32) for b in batches])
