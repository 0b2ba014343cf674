"""Labelled images to train on: from an .npz file, or from torchvision where that is installed."""

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from theory.errors import InputError


@dataclass(frozen=True)
class Labelled:
    """Images with labels.

    Attributes:
        images: (n, c, h, w) uint8.
        labels: (n,) int64.
    """

    images: Tensor
    labels: Tensor

    def part(self, chosen: slice) -> "Labelled":
        """Some of them."""
        return Labelled(self.images[chosen], self.labels[chosen])

    def pixels(self) -> Tensor:
        """The images as a network takes them, float32 in [-1, 1]."""
        return self.images.float() / 127.5 - 1

    def sha256(self) -> str:
        """Of the bytes of the images (n, c, h, w), then of the labels as int64, little-endian."""
        digest = hashlib.sha256(self.images.contiguous().numpy().tobytes())
        digest.update(self.labels.numpy().astype("<i8").tobytes())
        return digest.hexdigest()


def read_npz(path: Path, shape: tuple[int, int, int], classes: int) -> Labelled:
    """Read ``images``, uint8 (n, h, w) or (n, h, w, c), and ``labels``, integers (n,).

    Args:
        shape: (c, h, w) that the network takes.
        classes: labels lie from 0 to classes - 1.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            images, labels = archive["images"], archive["labels"]
    except KeyError as error:
        raise InputError(
            f"data: expected arrays 'images' and 'labels' in {path}: {error}"
        ) from error
    except (OSError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"data: expected an .npz file, {path} cannot be read as one") from error
    return labelled(images, labels, shape, classes, str(path))


def labelled(
    images: np.ndarray, labels: np.ndarray, shape: tuple[int, int, int], classes: int, name: str
) -> Labelled:
    """Images (n, h, w[, c]) uint8 with labels (n,), once they are known to be that.

    Raises:
        InputError: they are of another type, shape or number.
    """
    if images.ndim == 3:
        images = images[..., None]
    expected = (*shape[1:], shape[0])
    if images.dtype != np.uint8 or images.shape[1:] != expected:
        raise InputError(
            f"data: expected uint8 images (n, {', '.join(map(str, expected))}) in {name}, "
            f"got {images.dtype} {images.shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != images.shape[:1]:
        raise InputError(
            f"data: expected {len(images)} integer labels in {name}, "
            f"got {labels.dtype} {labels.shape}"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise InputError(
            f"data: expected labels from 0 to {classes - 1} in {name}, "
            f"got {labels.min()} to {labels.max()}"
        )
    channels_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return Labelled(torch.from_numpy(channels_first), torch.from_numpy(labels.astype(np.int64)))


def from_torchvision(name: str, root: Path, shape: tuple[int, int, int], classes: int) -> Labelled:
    """The training part of a torchvision set, downloaded into ``root`` if it is not there.

    Args:
        name: its class in torchvision.datasets.

    Raises:
        InputError: torchvision is not installed, or the set cannot be had.
    """
    try:
        from torchvision import datasets
    except ImportError as error:
        raise InputError(
            "data: expected --data FILE.npz, or torchvision installed to download the images"
        ) from error
    dataset: Callable[..., Any] = getattr(datasets, name)
    try:
        found = dataset(str(root), train=True, download=True)
    except (OSError, RuntimeError) as error:
        raise InputError(f"data: cannot download {name}: {error}") from error
    return labelled(
        np.asarray(found.data), np.asarray(found.targets), shape, classes, f"torchvision {name}"
    )
