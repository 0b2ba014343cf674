"""Data sets of the Hugging Face Hub: ``hub:ID`` or ``hub:ID:SPLIT``. Needs the library datasets."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from real.images.base import ImageSource, Labels, whole_labels
from real.images.pixels import PICTURE_BYTES, read_picture, require_channels, stacked
from real.images.references import HUB
from theory.support.errors import InputError
from theory.support.safe_reading import read_bytes

DEFAULT_SPLIT = "train"
TEXTS = ("text", "caption")


def hub_source(reference: str, shape: tuple[int, ...], download: bool) -> ImageSource:
    """Open the first column of pictures; a column of classes or of texts becomes the labels.

    The library hands over bytes or paths: it would decode formats that start other programs.

    Raises:
        InputError: the library is not installed; the set does not exist, has no pictures, or is
            not here and may not be fetched.
    """
    require_channels(shape)
    name, _, split = reference.removeprefix(HUB).partition(":")
    rows = _load(name, split or DEFAULT_SPLIT, reference, download)
    kinds = {column: type(kind).__name__ for column, kind in rows.features.items()}
    column = next((c for c, kind in kinds.items() if kind == "Image"), None)
    if column is None:
        raise InputError(
            f"data: expected a column of images in {reference}, got {', '.join(kinds)}"
        )
    stored = rows.cast_column(column, import_module("datasets").Image(decode=False))

    def load(chosen: Sequence[int]) -> Tensor:
        """The pictures at these positions."""
        pictures = zip(chosen, stored[list(chosen)][column], strict=True)
        return stacked(_picture(p, f"image {i} of {reference}", shape) for i, p in pictures)

    return ImageSource(reference, len(rows), load, labels=_labels(rows, kinds, reference))


def _picture(stored: dict[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray:
    content = stored["bytes"]
    if content is None:
        content = read_bytes(Path(stored["path"]), "data", PICTURE_BYTES)
    return read_picture(content, name, shape)


def _load(name: str, split: str, reference: str, download: bool) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise InputError(
            f"data: {reference} needs the library datasets, which is not installed "
            "(pip install datasets)"
        ) from error
    try:
        config = datasets.DownloadConfig(local_files_only=not download)
        return datasets.load_dataset(name, split=split, download_config=config)
    except (OSError, ValueError, RuntimeError) as error:
        advice = "cannot be fetched" if download else "is not there; --download fetches it"
        raise InputError(f"data: {reference} {advice}") from error


def _labels(rows: Any, kinds: dict[str, str], reference: str) -> Labels:
    classes = next((c for c, kind in kinds.items() if kind == "ClassLabel"), None)
    if classes is not None:
        return whole_labels(torch.tensor(list(rows[classes])), len(rows), reference)
    texts = next((c for c in TEXTS if c in kinds), None)
    return None if texts is None else [str(text) for text in rows[texts]]
