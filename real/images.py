"""Where images come from. Every source gives float32 batches (b, c, h, w) in [-1, 1].

The embedded set is scikit-learn's digits: 1,797 real 8x8 images, split once into training,
calibration and held-out images by the rank of a keyed hash of each image, so that the split
depends on nothing but the images and the seed below.
"""

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from theory.batches import DEFAULT_BATCH
from theory.errors import InputError

Role = Literal["training", "calibration", "held-out"]

DIGITS = "digits"
DIGITS_SPLIT_SEED = 0
DIGITS_SPLIT: dict[Role, slice] = {
    "training": slice(0, 1000),
    "calibration": slice(1000, 1400),
    "held-out": slice(1400, 1797),
}
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True)
class ImageSource:
    """Re-iterable batches of images: ``load(i, j)`` gives images i to j - 1."""

    name: str
    count: int
    load: Callable[[int, int], Tensor]
    batch_size: int = DEFAULT_BATCH

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Tensor]:
        for first in range(0, self.count, self.batch_size):
            yield self.load(first, min(first + self.batch_size, self.count))


def open_images(
    reference: str,
    role: Role,
    shape: tuple[int, ...],
    *,
    limit: int | None = None,
    batch_size: int = DEFAULT_BATCH,
) -> ImageSource:
    """Open images by reference: ``digits`` (the part for this role), a folder, or an .npz file.

    An .npz holds ``images``: uint8 (n, h, w) or (n, h, w, c), or floating point in [-1, 1] of
    shape (n, c, h, w).

    Args:
        shape: (c, h, w) that the network takes.
        limit: use only the first so many.

    Raises:
        InputError: nothing there, fewer than two images, or images of another shape or range.
    """
    if reference == DIGITS:
        source = _from_tensor(DIGITS, digits(role), shape, batch_size)
    elif Path(reference).is_dir():
        source = _from_folder(Path(reference), shape, batch_size)
    elif Path(reference).is_file():
        source = _from_tensor(reference, _read_npz(Path(reference)), shape, batch_size)
    else:
        raise InputError(f"data: expected 'digits', a folder or an .npz file, got {reference!r}")
    count = source.count if limit is None else min(limit, source.count)
    if count < 2:
        raise InputError(f"data: expected at least two images, got {count} from {reference}")
    return ImageSource(source.name, count, source.load, batch_size)


def digits(role: Role) -> Tensor:
    """The digits of one part of the split, (n, 1, 8, 8) float32 in [-1, 1]."""
    from sklearn.datasets import load_digits

    images = load_digits().images.astype(np.float32)
    key = DIGITS_SPLIT_SEED.to_bytes(8, "big")
    ranks = [hashlib.blake2b(image.tobytes(), key=key).digest() for image in images]
    order = sorted(range(len(images)), key=ranks.__getitem__)
    return torch.from_numpy(images[order[DIGITS_SPLIT[role]]])[:, None] / 8 - 1


def _from_tensor(name: str, images: Tensor, shape: tuple[int, ...], batch_size: int) -> ImageSource:
    if tuple(images.shape[1:]) != shape:
        raise InputError(
            f"data: the network takes images of shape {shape}, got {tuple(images.shape[1:])} from {name}"
        )
    return ImageSource(name, len(images), lambda i, j: images[i:j], batch_size)


def _read_npz(path: Path) -> Tensor:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if "images" not in archive:
                raise InputError(
                    f"data: expected an array 'images' in {path}, got {', '.join(archive) or 'none'}"
                )
            images = archive["images"]
    except (OSError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"data: expected an .npz file, {path} cannot be read as one") from error
    if images.dtype == np.uint8 and images.ndim in (3, 4):
        images = images[..., None] if images.ndim == 3 else images
        return _scaled(images)
    if not np.issubdtype(images.dtype, np.floating) or images.ndim != 4:
        raise InputError(
            f"data: expected uint8 (n, h, w[, c]) or floating-point (n, c, h, w) images in {path}, "
            f"got {images.dtype} {images.shape}"
        )
    if images.size and not (images.min() >= -1 and images.max() <= 1):
        raise InputError(
            f"data: expected floating-point images in [-1, 1] in {path}, "
            f"got {images.min():g} to {images.max():g}"
        )
    return torch.from_numpy(images.astype(np.float32))


def _from_folder(folder: Path, shape: tuple[int, ...], batch_size: int) -> ImageSource:
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    channels, height, width = shape
    if channels not in MODES:
        raise InputError(f"data: a folder gives 1 or 3 channels, the network takes {channels}")

    def read(path: Path) -> np.ndarray:
        try:
            with Image.open(path) as image:
                if image.size != (width, height):
                    raise InputError(
                        f"data: the network takes {width}x{height} images, "
                        f"got {image.size[0]}x{image.size[1]} in {path}"
                    )
                pixels = np.asarray(image.convert(MODES[channels]))
        except (OSError, UnidentifiedImageError) as error:
            raise InputError(f"data: {path} cannot be read as an image") from error
        return pixels.reshape(height, width, channels)

    def load(first: int, end: int) -> Tensor:
        return _scaled(np.stack([read(path) for path in files[first:end]]))

    return ImageSource(str(folder), len(files), load, batch_size)


def _scaled(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2).contiguous()
