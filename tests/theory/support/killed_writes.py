"""Write a folder again and again, each time killed one step later; print what each kill left.

Steps are what Python's audit hooks tell of: opening, linking, renaming, removing.
"""

import json
import os
import shutil
import sys
import tempfile
from itertools import count
from pathlib import Path

from theory.support import whole_folder
from theory.support.output import replacing_folder, require_folder

PLACE = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""In memory, where files are seen onto the disk at once."""

NAMES = ("a.txt", "b.txt", "deep/c.txt")


def write(path: Path, text: str) -> None:
    """Write all files with one text."""
    with replacing_folder(path) as folder:
        for name in NAMES:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)


def texts(path: Path) -> list[str]:
    """The text of each file."""
    return [(path / name).read_text() if (path / name).exists() else "none" for name in NAMES]


def killed_at(step: int, path: Path) -> bool:
    """Write in a process that is killed at that step; whether it was killed."""
    process = os.fork()
    if process == 0:
        seen = count()
        sys.addaudithook(lambda *_: os._exit(9) if next(seen) == step else None)
        write(path, "new")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9


def refused(*_: object) -> None:
    """An exchange on a system that has none."""
    raise OSError("no exchange")


def main(exchange: bool) -> None:
    """Print, for each step, what the kill left, and what a later run finds."""
    if not exchange:
        whole_folder._exchange = refused
    found = []
    for step in count():
        with tempfile.TemporaryDirectory(dir=PLACE) as place:
            path = Path(place) / "out"
            write(path, "old")
            (path / "other").write_text("other")
            if not killed_at(step, path):
                break
            left = texts(path)
            require_folder(path)
            again = texts(path)
            write(path, "last")
            everything = sorted(str(p.relative_to(place)) for p in Path(place).rglob("*"))
            shutil.rmtree(path)
            found.append({"left": left, "again": again, "everything": everything})
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1] == "exchange")
