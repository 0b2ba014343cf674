"""A run of passes that goes on where it was killed, alone or under torchrun.

Beside the output lies a folder with what was found so far (``theory.calibration.kept``), which goes
once the output is written. The first process locks it: another run of the same output is refused.
"""

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from real.families.checkpoint import Checkpoint
from theory.calibration.kept import Kept
from theory.calibration.progress import Progress
from theory.forward.fingerprints import fingerprint
from theory.support.errors import InputError, LostProcessError, OutputError
from theory.support.workers import Workers, joined

WITHOUT_EFFECT = frozenset(
    {
        "out",
        "quiet",
        "device",
        "batch_size",
        "compile",
        "strict",
        "download",
        "as_typed",
        "typed",
        "report",
        "quality",
        "channels_last",
    }
)
"""Options that change no result by more than rounding."""


@contextmanager
def going_on(
    out: Path, checkpoint: Checkpoint, options: Mapping[str, Any], *more: str
) -> Iterator[Progress]:
    """How far the run of these settings has come; the output is to be written within the block.

    Args:
        out: file or folder that is to be written.
        checkpoint: the network.
        options: of the command; all but those without effect decide the result.
        more: what else decides it, such as digests of files.

    Raises:
        InputError: another run is about to write the same, or another process was refused something.
        LostProcessError: another process is gone.
    """
    deciding = {name: value for name, value in options.items() if name not in WITHOUT_EFFECT}
    settings = fingerprint((), checkpoint.fingerprint, repr(sorted(deciding.items())), *more)
    with joined() as workers:
        if workers.rank:
            workers.agree(None)
            yield Progress(workers)
        else:
            with _locked(out, workers) as folder:
                yield from _first(Kept(folder, settings), workers)


def _first(kept: Kept, workers: Workers) -> Iterator[Progress]:
    """The progress of the first process, and what becomes of the folder."""
    if kept.holds_anything:
        print(f"going on from {kept.folder}")
    try:
        yield Progress(workers, kept)
    except BaseException as error:
        would_fail_again = isinstance(error, InputError) and not isinstance(error, OutputError)
        if would_fail_again:
            shutil.rmtree(kept.folder, ignore_errors=True)
        elif kept.holds_anything and not isinstance(error, LostProcessError):
            print(f"{kept.folder} keeps how far it came: the same command goes on", file=sys.stderr)
        raise
    shutil.rmtree(kept.folder, ignore_errors=True)


@contextmanager
def _locked(out: Path, workers: Workers) -> Iterator[Path]:
    """The folder beside an output, locked; it goes if it stays empty.

    Raises:
        InputError: another run has locked it.
    """
    whole = out.absolute()
    folder = whole.with_name(f".{whole.name}.progress")
    missing = [parent for parent in whole.parents if not parent.exists()]
    lock, error = -1, None
    try:
        lock = _lock(folder)
    except BlockingIOError:
        error = InputError(f"{out}: another run is about to write it")
    workers.agree(error)
    try:
        yield folder
    finally:
        for made in (folder, *missing):
            with suppress(OSError):
                made.rmdir()  # only what is empty goes
        os.close(lock)


def _lock(folder: Path) -> int:
    """The lock of a folder, which is made if need be; a run that ends may remove it meanwhile.

    Raises:
        BlockingIOError: another process has it.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise
        if folder.exists() and os.path.samestat(os.fstat(lock), folder.stat()):
            return lock
        os.close(lock)
