"""The embedded set: scikit-learn's digits, 1,797 real 8x8 images.

They are split once into training, calibration and held-out images by the rank of a keyed hash of
each image, so that the split depends on nothing but the images and the seed below.
"""

import hashlib

import numpy as np
import torch
from torch import Tensor

from real.images.base import ImageSource, Role
from real.images.references import DIGITS
from theory.support.errors import InputError

DIGITS_SPLIT_SEED = 0
DIGITS_SPLIT: dict[Role, slice] = {
    "training": slice(0, 1000),
    "calibration": slice(1000, 1400),
    "held-out": slice(1400, 1797),
}


def digits(role: Role) -> Tensor:
    """The digits of one part of the split, (n, 1, 8, 8) float32 in [-1, 1]."""
    return _part(role)[0]


def digits_source(role: Role, shape: tuple[int, ...]) -> ImageSource:
    """One part of the split as a source; the label is the digit that an image shows.

    Raises:
        InputError: the network takes images of another shape.
    """
    images, labels = _part(role)
    if tuple(images.shape[1:]) != shape:
        raise InputError(
            f"data: the network takes images of shape {shape}, got {tuple(images.shape[1:])} "
            f"from {DIGITS}"
        )
    return ImageSource.of(DIGITS, images, labels=labels)


def _part(role: Role) -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    loaded = load_digits()
    images = loaded.images.astype(np.float32)
    key = DIGITS_SPLIT_SEED.to_bytes(8, "big")
    ranks = [hashlib.blake2b(image.tobytes(), key=key).digest() for image in images]
    order = sorted(range(len(images)), key=ranks.__getitem__)[DIGITS_SPLIT[role]]
    return torch.from_numpy(images[order])[:, None] / 8 - 1, torch.from_numpy(loaded.target[order])
