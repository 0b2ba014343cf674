"""The features that are asked for: pixels, a small network trained on images, or Inception."""

from typing import Any

import torch

from real.images.base import ImageSource
from real.quality.features import PIXELS, Features, inception
from real.quality.trained_features import train_features
from theory.support.errors import InputError

TINY = 256
"""Images of at most so many numbers are compared by their pixels unless asked otherwise."""

CHOICES = ("pixels", "trained", "inception")


def features_for(
    name: str | None, images: ImageSource, shape: tuple[int, ...], seed: int, device: Any
) -> Features:
    """The features of that name, or else pixels for tiny images and trained ones for others.

    Args:
        name: one of ``CHOICES``, or None.
        images: to train features on; never those that samples are compared with.
        shape: (c, h, w) of the images.
        seed: of the training.
        device: where the features are computed.

    Raises:
        InputError: an unknown name, or a library that is not installed.
    """
    match name or ("pixels" if torch.Size(shape).numel() <= TINY else "trained"):
        case "pixels":
            return PIXELS
        case "trained":
            return train_features(images, seed, device)
        case "inception":
            return inception(device)
        case other:
            raise InputError(f"features: expected one of {', '.join(CHOICES)}, got {other!r}")
