"""Output files and folders that are written as a whole or not at all.

Their modes are those of new files, as the umask says, and they are on the disk before they appear.
"""

import errno
import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from theory.support.errors import OutputError
from theory.support.partial import partial_folder, remove_leftovers
from theory.support.whole_folder import finish, take_in

Result = TypeVar("Result")

SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")
"""How libraries written in Rust name an error of the system."""


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; False too if no file can have this name."""
    try:
        return path.exists()
    except OSError:
        return False


def require_file(path: Path) -> None:
    """Refuse an output file that cannot be written, before any work is done for it.

    Leftovers beside it, of runs that were killed, are removed.

    Raises:
        OutputError: it is a folder, a pipe, a device or a socket, or its folder cannot be written to.
    """
    with _telling(path):
        if path.is_dir():
            raise OutputError(f"output: expected a file name, got the folder {path}")
        if path.exists() and not path.is_file():
            raise OutputError(f"output: expected a regular file or a new name, {path} is neither")
        _require_room(path.absolute().parent)


def require_folder(path: Path) -> None:
    """Refuse an output folder that cannot be written to, before any work is done for it.

    Leftovers in it, of runs that were killed, are removed, or moved to their places if complete.

    Raises:
        OutputError: it cannot be written to.
    """
    with _telling(path):
        _require_room(path.absolute())
        finish(path)


def require_other(path: Path, *inputs: Path) -> None:
    """Refuse an output that is one of the inputs.

    Raises:
        OutputError: it is the same file or folder as one of them.
    """
    for given in inputs:
        if exists(path) and exists(given) and path.samefile(given):
            raise OutputError(f"output: expected another place than the input {given}, got {path}")


def _require_room(folder: Path) -> None:
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    remove_leftovers(existing)
    with tempfile.TemporaryFile(dir=existing):
        pass


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, moved onto it if the block succeeds.

    Raises:
        OutputError: it cannot be written.
    """
    require_file(path)
    with _telling(path), partial_folder(path.absolute().parent) as folder:
        temporary = folder / path.name
        yield temporary
        _settle(folder)
        temporary.replace(path)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder, whose files ``path`` takes in at one moment if the block succeeds.

    Raises:
        OutputError: they cannot be written.
    """
    require_folder(path)
    with _telling(path), partial_folder(path.absolute()) as folder:
        yield folder
        _settle(folder)
        take_in(folder, path)


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Errors of the system, as when the disk is full, say which output cannot be written, and why."""
    try:
        yield
    except Exception as error:
        found = SYSTEM_ERROR.search(str(error))
        reason = os.strerror(int(found[1])) if found else getattr(error, "strerror", None)
        if reason is None or getattr(error, "errno", None) == errno.ENAMETOOLONG:
            raise
        raise OutputError(f"output: cannot write {path}: {reason}") from error


def _settle(folder: Path) -> None:
    """Give the files in a folder the mode of new ones, and see them onto the disk."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    with tempfile.TemporaryDirectory(dir=folder) as within:
        new = Path(within) / "new"
        new.touch()
        mode = new.stat().st_mode
    for path in files:
        path.chmod(mode)
        with path.open("rb") as file:
            os.fsync(file.fileno())


def keep(path: Path, write: Callable[[Path], Result]) -> Result:
    """Write a result to its place, or if that fails to a temporary folder: measuring took long.

    Returns:
        What ``write`` returns.

    Raises:
        OutputError: it is not in its place; the message says where it is.
    """
    try:
        return write(path)
    except OutputError as error:
        try:
            kept = Path(tempfile.mkdtemp(prefix="kept-")) / path.name
            write(kept)
        except (OutputError, OSError):
            raise error from None
        raise OutputError(f"{error}; it is kept as {kept}") from error


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
