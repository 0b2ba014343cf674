"""Images in a folder, with EDM's ``dataset.json`` or the Hub's ``metadata`` if there is one.

``metadata.jsonl`` has one object per line with ``file_name``, relative to the folder, and
``text``; it then says which images there are, and in what order. ``metadata.csv`` has these as columns,
or ``label``, a whole number, in place of ``text``. Without either they are all pictures in the folder
and below, ordered by path; where each lies in one of several subfolders, these are the classes, numbered
in the order of their names.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from real.images.base import ImageSource, Labels
from real.images.edm_labels import LABELS, labels_of
from real.images.pixels import PICTURE_BYTES, SUFFIXES, read_picture, require_channels, stacked
from theory.support.errors import InputError, refusing
from theory.support.safe_reading import TABLE_BYTES, parse_json, read_bytes, read_lines

CAPTIONS, TABLE = "metadata.jsonl", "metadata.csv"


def folder_source(folder: Path, shape: tuple[int, ...]) -> ImageSource:
    """Open a folder of images.

    Raises:
        InputError: labels or captions that do not fit the images.
    """
    if (folder / CAPTIONS).is_file():
        return captions_source(folder / CAPTIONS, shape)
    if (folder / TABLE).is_file():
        return _table_source(folder / TABLE, shape)
    everything = sorted(path for path in folder.rglob("*") if not path.is_dir())
    files = [path for path in everything if path.suffix.lower() in SUFFIXES]
    notes = _skipped(folder, everything)
    labels: Labels = None
    if (folder / LABELS).is_file():
        names = [path.relative_to(folder).as_posix() for path in files]
        content = read_bytes(folder / LABELS, "data", TABLE_BYTES)
        labels = labels_of(content, names, str(folder / LABELS))
    elif len(classes := _subfolders(folder, files)) > 1:
        labels = torch.tensor([classes.index(path.parent.name) for path in files])
        notes += [f"{folder}: labels are the subfolders in their order: {_some(classes)}"]
    return _of_files(str(folder), files, labels, shape, notes)


def _skipped(folder: Path, everything: Sequence[Path]) -> list[str]:
    """A line that counts and names what is no picture, hidden files and tables of labels apart."""
    others = [
        path for path in everything
        if path.suffix.lower() not in SUFFIXES and path.name != LABELS and path.name[0] != "."
    ]  # fmt: skip
    if not others:
        return []
    kinds = Counter(path.suffix.lower() or "without a suffix" for path in others)
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    first = others[0].relative_to(folder).as_posix()
    return [
        f"{folder}: {len(others)} files are no pictures and were skipped ({said}), first {first}"
    ]


def _subfolders(folder: Path, files: Sequence[Path]) -> list[str]:
    """Names of the subfolders, if every picture lies in one of them and none lies deeper."""
    if any(path.parent.parent != folder for path in files):
        return []
    return sorted({path.parent.name for path in files})


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" ... ({len(names)} of them)" if len(names) > 5 else "")


def _table_source(file: Path, shape: tuple[int, ...]) -> ImageSource:
    """Open the images that a table names: file_name, and text or label."""
    with refusing(f"data: {file} cannot be read as a table"):
        rows = list(csv.DictReader(f"{line}\n" for line in read_lines(file, "data")))
    columns = list(rows[0]) if rows else []
    told = next((name for name in ("text", "label") if name in columns), None)
    if "file_name" not in columns or told is None:
        raise InputError(
            f"data: expected columns file_name and text or label in {file}, "
            f"got {', '.join(map(str, columns)) or 'none'}"
        )
    values = [row[told] or "" for row in rows]
    for number, row in enumerate(rows, 2):
        if not row["file_name"] or not _lies_below(file.parent, row["file_name"]):
            raise InputError(f"data: line {number} of {file} names no file below its folder")
    files = [file.parent / row["file_name"] for row in rows]
    if told == "text":
        return _of_files(str(file), files, values, shape)
    if not all(value.isdecimal() for value in values):
        raise InputError(f"data: expected whole numbers as label in {file}")
    return _of_files(str(file), files, torch.tensor([int(value) for value in values]), shape)


def captions_source(file: Path, shape: tuple[int, ...]) -> ImageSource:
    """Open the images that a JSONL file names, with text or label; they lie beside it or below.

    Raises:
        InputError: a line that is no object with these, or names a file elsewhere; texts in some lines
            and labels in others.
    """
    lines = [line for line in read_lines(file, "data") if line.strip()]
    rows = [_caption(line, number, file) for number, line in enumerate(lines, 1)]
    files = [file.parent / name for name, _ in rows]
    told = [value for _, value in rows]
    texts = [value for value in told if isinstance(value, str)]
    if texts and len(texts) < len(told):
        raise InputError(f"data: expected text in every line of {file}, or label in every line")
    return _of_files(str(file), files, texts or torch.tensor(told), shape)


def _caption(line: str, number: int, file: Path) -> tuple[str, str | int]:
    """The file's name, and its text, or its label where it has no text."""
    expected = (
        f"data: expected an object with file_name, and text or label (a whole number), in line "
        f"{number} of {file}"
    )
    with refusing(expected):
        row = parse_json(line)
        name, value = row["file_name"], row["text" if "text" in row else "label"]
    fits = isinstance(value, str) if "text" in row else _is_label(value)
    if not (isinstance(name, str) and fits):
        raise InputError(expected)
    if not _lies_below(file.parent, name):
        raise InputError(f"data: line {number} of {file} names a file outside of its folder")
    return name, value


def _is_label(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _lies_below(folder: Path, name: str) -> bool:
    try:
        return (folder / name).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # no name of a file, or links in a circle
        return False


def _of_files(
    name: str, files: list[Path], labels: Labels, shape: tuple[int, ...], notes: Sequence[str] = ()
) -> ImageSource:
    require_channels(shape)
    return ImageSource(
        name, len(files), lambda chosen: stacked(_read(files[i], shape) for i in chosen),
        labels=labels, notes=tuple(notes),
    )  # fmt: skip


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    return read_picture(read_bytes(path, "data", PICTURE_BYTES), str(path), shape)
