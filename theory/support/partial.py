"""Folders for what is being written, which go in any case: at the end, or if a run is killed, at the next.

A run locks its own folder (``flock``). The system frees the lock when the run ends in whatever way, so
that a folder without a lock is a leftover.
"""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = ".partial-"
LEFTOVER = re.compile(re.escape(PREFIX) + "[a-z0-9_]{8}")
"""Names that ``tempfile`` makes of the prefix."""


@contextmanager
def partial_folder(parent: Path) -> Iterator[Path]:
    """A folder within ``parent``, which is made if need be, and goes again if it stays empty."""
    absent = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(parent)
    folder, lock = _locked(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        with suppress(OSError):
            for made in absent:
                made.rmdir()


def remove_leftovers(parent: Path) -> None:
    """Remove the folders of runs that were killed; what cannot be read or removed stays."""
    with suppress(OSError):
        for folder in parent.iterdir():
            if LEFTOVER.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink():
                _remove_unlocked(folder)


def _remove_unlocked(folder: Path) -> None:
    with suppress(OSError):
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _locked(parent: Path) -> tuple[Path, int]:
    """A new folder and its lock; another run may take a folder for a leftover before it is locked."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=PREFIX))
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            with suppress(OSError):  # a file system without locks: no run takes it for a leftover
                fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)
