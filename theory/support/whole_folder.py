"""Changing several files of a folder at one moment: the folder is exchanged for a whole new one.

Linux exchanges two folders in one step. Where that cannot be, the files are moved one by one; a run
that is killed then leaves the rest in ``.partial-ready``, and the next run moves it first.
"""

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from theory.support.partial import PREFIX, partial_folder

READY = f"{PREFIX}ready"
"""Name of a folder whose files are complete, and are being moved to its parent."""

MOST_OTHERS = 10_000
"""Other files in the folder, each of which the new one gets a link to."""

HERE, EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux's renameat2."""


def take_in(files: Path, path: Path) -> None:
    """Put the files of a folder within ``path`` into ``path``, over those of the same names."""
    path = path.resolve()  # an exchange would take a link for the folder that it stands for
    try:
        _refuse_exchange(path)
        with partial_folder(path.parent) as beside:
            whole = beside / path.name
            shutil.copytree(
                path, whole, symlinks=True, copy_function=os.link,
                ignore=shutil.ignore_patterns(f"{PREFIX}*"),
            )  # fmt: skip
            for source, target in _pairs(files, whole):
                target.unlink(missing_ok=True)
                os.link(source, target)
            _exchange(whole, path)
    except OSError:
        files.rename(path / READY)
        finish(path)


def finish(path: Path) -> None:
    """Move the files that a killed run left ready."""
    ready = path / READY
    if ready.is_dir() and not ready.is_symlink():
        for source, target in _pairs(ready, path):
            with suppress(FileNotFoundError):  # another run moved it
                source.replace(target)
        shutil.rmtree(ready, ignore_errors=True)


def _pairs(files: Path, path: Path) -> Iterator[tuple[Path, Path]]:
    """Each file below a folder, and its place below another, whose folders are made."""
    for source in sorted(p for p in files.rglob("*") if p.is_file()):
        target = path / source.relative_to(files)
        target.parent.mkdir(parents=True, exist_ok=True)
        yield source, target


def _refuse_exchange(path: Path) -> None:
    """Refuse a folder that a shell stands in, as it would stay in the old one, or that holds too much."""
    if Path.cwd().is_relative_to(path):
        raise OSError("it is the working directory, or holds it")
    if any(islice(path.rglob("*"), MOST_OTHERS, None)):
        raise OSError("it holds too many other files")


def _exchange(one: Path, other: Path) -> None:
    """Exchange two folders of one file system in one step."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError("there is no exchange on this system")
    if rename(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
