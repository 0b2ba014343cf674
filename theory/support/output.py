"""Output files and folders that are written as a whole or not at all."""

import json
import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from theory.support.errors import InputError


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; False too if no file can have this name."""
    try:
        return path.exists()
    except OSError:
        return False


def require_file(path: Path) -> None:
    """Refuse an output file that cannot be written, before any work is done for it.

    Raises:
        InputError: it is a folder, a pipe, a device or a socket, or its folder cannot be written to.
    """
    if path.is_dir():
        raise InputError(f"output: expected a file name, got the folder {path}")
    if path.exists() and not path.is_file():
        raise InputError(f"output: expected a regular file or a new name, {path} is neither")
    _require_room(path.absolute().parent, path)


def require_folder(path: Path) -> None:
    """Refuse an output folder that cannot be written to, before any work is done for it.

    Raises:
        InputError: it cannot be written to.
    """
    _require_room(path.absolute(), path)


def _require_room(folder: Path, output: Path) -> None:
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise InputError(f"output: cannot write {output}: {error.strerror}") from error


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, moved onto it if the block succeeds."""
    require_file(path)
    with _temporary_folder(path.absolute().parent) as folder:
        temporary = folder / path.name
        yield temporary
        temporary.replace(path)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder, whose files are moved into ``path`` if the block succeeds."""
    require_folder(path)
    with _temporary_folder(path) as folder:
        yield folder
        for source in sorted(p for p in folder.rglob("*") if p.is_file()):
            target = path / source.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)


@contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=".partial-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON in place of ``path``; infinities and NaN, which JSON lacks, become null."""
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps(_finite(value), indent=2) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
