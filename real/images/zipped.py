"""Images in a zip file, as EDM's ``dataset_tool`` writes it: pictures, and labels in dataset.json."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from real.images.base import ImageSource, Labels
from real.images.edm_labels import LABELS, labels_of
from real.images.pixels import PICTURE_BYTES, SUFFIXES, read_picture, require_channels, stacked
from theory.support.errors import InputError, refusing
from theory.support.safe_reading import TABLE_BYTES

LARGEST = {True: PICTURE_BYTES, False: TABLE_BYTES}
"""Bytes that a picture (True) or the labels (False) may unpack to."""


def zip_source(path: Path, shape: tuple[int, ...]) -> ImageSource:
    """Open a zip file of pictures, in the order of their names; each is read when it is needed.

    Raises:
        InputError: no zip file, a broken one, or labels that do not fit the images.
    """
    require_channels(shape)
    broken = f"data: expected a zip file, {path} cannot be read as one"
    with refusing(broken), zipfile.ZipFile(path) as archive:
        members = {part.filename: part for part in archive.infolist()}
        names = sorted(n for n in members if Path(n).suffix.lower() in SUFFIXES)
        labels: Labels = None
        if LABELS in members:
            content = _unpack(archive, LABELS, path)
            labels = labels_of(content, names, f"{path}/{LABELS}")

    def load(chosen: Sequence[int]) -> Tensor:
        """The pictures at these positions."""
        broken = f"data: {path} is broken at or after {names[chosen[0]]}"
        with refusing(broken), zipfile.ZipFile(path) as archive:
            files = ((f"{path}/{names[i]}", _unpack(archive, names[i], path)) for i in chosen)
            return stacked(read_picture(content, name, shape) for name, content in files)

    return ImageSource(str(path), len(names), load, labels=labels)


def _unpack(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    size, largest = archive.getinfo(name).file_size, LARGEST[name != LABELS]
    if size > largest:
        raise InputError(
            f"data: {path}/{name} would unpack to {size:,} bytes: expected at most {largest:,}"
        )
    return archive.read(name)
