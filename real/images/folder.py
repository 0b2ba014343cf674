"""Images in a folder, with EDM's ``dataset.json`` or the Hub's ``metadata.jsonl`` if there is one.

``metadata.jsonl`` has one object per line with ``file_name``, relative to the folder, and
``text``; it then says which images there are, and in what order. Without it they are all pictures
in the folder and below, ordered by path.
"""

from pathlib import Path

import numpy as np

from real.images.base import ImageSource, Labels
from real.images.edm_labels import LABELS, labels_of
from real.images.pixels import SUFFIXES, read_picture, require_channels, stacked
from theory.support.errors import InputError
from theory.support.safe_reading import TABLE_BYTES, parse_json, require_regular

CAPTIONS = "metadata.jsonl"


def folder_source(folder: Path, shape: tuple[int, ...]) -> ImageSource:
    """Open a folder of images.

    Raises:
        InputError: labels or captions that do not fit the images.
    """
    if (folder / CAPTIONS).is_file():
        return captions_source(folder / CAPTIONS, shape)
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    labels: Labels = None
    if (folder / LABELS).is_file():
        names = [path.relative_to(folder).as_posix() for path in files]
        labels = labels_of(_labels(folder / LABELS), names, str(folder / LABELS))
    return _of_files(str(folder), files, labels, shape)


def _labels(file: Path) -> bytes:
    if file.stat().st_size > TABLE_BYTES:
        raise InputError(f"data: expected at most {TABLE_BYTES:,} bytes of labels in {file}")
    return file.read_bytes()


def captions_source(file: Path, shape: tuple[int, ...]) -> ImageSource:
    """Open the captioned images that a JSONL file names; they lie beside it or below.

    Raises:
        InputError: a line that is no object with these texts, or names a file elsewhere.
    """
    try:
        lines = [line for line in file.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"data: {file} cannot be read as text") from error
    rows = [_caption(line, number, file) for number, line in enumerate(lines, 1)]
    files = [file.parent / name for name, _ in rows]
    return _of_files(str(file), files, [text for _, text in rows], shape)


def _caption(line: str, number: int, file: Path) -> tuple[str, str]:
    try:
        row = parse_json(line)
        name, text = row["file_name"], row["text"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"data: expected an object with file_name and text in line {number} of {file}"
        ) from error
    if not (isinstance(name, str) and isinstance(text, str)):
        raise InputError(f"data: expected texts as file_name and text in line {number} of {file}")
    if not _lies_below(file.parent, name):
        raise InputError(f"data: line {number} of {file} names a file outside of its folder")
    return name, text


def _lies_below(folder: Path, name: str) -> bool:
    try:
        return (folder / name).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # no name of a file, or links in a circle
        return False


def _of_files(name: str, files: list[Path], labels: Labels, shape: tuple[int, ...]) -> ImageSource:
    require_channels(shape)
    return ImageSource(
        name, len(files), lambda chosen: stacked(_read(files[i], shape) for i in chosen),
        labels=labels,
    )  # fmt: skip


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    require_regular(path, "data")
    try:
        return read_picture(path.read_bytes(), str(path), shape)
    except OSError as error:
        raise InputError(f"data: {path} cannot be read: {error.strerror}") from error
