"""Images in an .npz file.

``images``: uint8 (n, h, w) or (n, h, w, c), which are fitted to the network, or floating point
in [-1, 1] of shape (n, c, h, w), which must fit already. ``labels``: whole numbers (n,), optional.
Where there are no ``images``, ``arr_0`` and ``arr_1`` are taken, as guided-diffusion saves samples.
"""

import math
import mmap
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from real.files.zip_directory import directory
from real.images.base import ImageSource, whole_labels
from real.images.pixels import fitted_array, require_channels, scaled
from theory.support.errors import InputError, refusing
from theory.support.safe_reading import require_regular

BOMB_BYTES = 2**28
BOMB_RATIO = 100
"""An array above that size which shrank by more than that ratio holds no photographs."""

MAX_DIRECTORY = 2**20
"""Bytes that name the arrays of a file; a hundred or so for each."""

HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def npz_source(path: Path, shape: tuple[int, ...]) -> ImageSource:
    """Open an .npz file of images.

    Raises:
        InputError: no such file, no ``images``, or images of another layout, shape or range.
    """
    images, labels = _read(path)
    if images.ndim == 0:
        raise InputError(f"data: expected images in {path}, got a single {images.dtype}")
    found = None if labels is None else _labels(labels, len(images), path)
    if images.dtype == np.uint8 and (images.ndim == 3 or images.shape[-1:] in {(1,), (3,)}):
        require_channels(shape)
        pixels = images[..., None] if images.ndim == 3 else images
        if 0 in pixels.shape[1:] or pixels.ndim != 4:
            raise InputError(f"data: expected images of some size in {path}, got {images.shape}")
        return ImageSource(
            str(path), len(pixels), lambda chosen: scaled(fitted_array(pixels[list(chosen)], shape)),
            labels=found,
        )  # fmt: skip
    if not np.issubdtype(images.dtype, np.floating) or images.ndim != 4:
        raise InputError(
            f"data: expected uint8 (n, h, w[, 1 or 3]) or floating-point (n, c, h, w) images in "
            f"{path}, got {images.dtype} {images.shape}"
        )
    if images.shape[1:] != shape:
        raise InputError(
            f"data: the network takes images of shape {shape}, got {images.shape[1:]} from {path} "
            "(floating-point images are not resized)"
        )
    unknown = ~np.isfinite(images).all(axis=(1, 2, 3))
    if unknown.any():
        raise InputError(
            f"data: expected numbers in {path}, got {unknown.sum()} images with NaN or infinity, the "
            f"first at {unknown.argmax()}"
        )
    if images.size and not (images.min() >= -1 and images.max() <= 1):
        raise InputError(
            f"data: expected floating-point images in [-1, 1] in {path}, "
            f"got {images.min():g} to {images.max():g}"
        )
    return ImageSource.of(str(path), torch.from_numpy(images.astype(np.float32)), labels=found)


def _labels(labels: np.ndarray, count: int, path: Path) -> Tensor:
    """Whole numbers of any width and byte order as int64."""
    if labels.dtype.kind not in "iu":
        raise InputError(
            f"data: expected one whole number per image ({count}) as labels in {path}, "
            f"got {labels.dtype!s:.60} {labels.shape}"
        )
    if labels.size and labels.max() > np.iinfo(np.int64).max:
        raise InputError(f"data: expected labels below 2^63 in {path}, got {labels.max()}")
    return whole_labels(torch.from_numpy(labels.astype(np.int64)), count, str(path))


def _read(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    with refusing(f"data: expected an .npz file, {path} cannot be read as one"):
        require_no_bomb(path)
        with np.load(path, allow_pickle=False) as archive:
            images, labels = ("images", "labels") if "images" in archive else ("arr_0", "arr_1")
            if images not in archive:
                raise InputError(
                    f"data: expected an array 'images' or 'arr_0' in {path}, "
                    f"got {', '.join(archive) or 'none':.200}"
                )
            return archive[images], archive.get(labels, None)


def require_no_bomb(path: Path) -> None:
    """Refuse an .npz file of very many arrays, or that unpacks to far more than it holds.

    Raises:
        InputError: it does.
        Exception: whatever a broken file makes the library raise.
    """
    require_regular(path, "data")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        directory(content, path.stat().st_size, MAX_DIRECTORY)
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            if part.file_size > BOMB_BYTES and part.file_size > BOMB_RATIO * part.compress_size:
                raise InputError(
                    f"data: {path} would unpack from {part.compress_size:,} to "
                    f"{part.file_size:,} bytes, which no images do"
                )
            _require_honest_header(archive, part, path)


def _require_honest_header(archive: zipfile.ZipFile, part: zipfile.ZipInfo, path: Path) -> None:
    """Refuse a header that claims more than the file holds: numpy would reserve that memory."""
    with archive.open(part) as file:
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:
            raise ValueError(f"array format {version}")
        shape, _, dtype = HEADERS[version](file)
    if math.prod(shape) * dtype.itemsize > part.file_size:
        raise InputError(f"data: {path} claims an array {shape} larger than what it holds")
