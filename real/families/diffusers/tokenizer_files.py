"""Check the files of a tokenizer before its library reads them.

The library is written in Rust. It reserves what a number in a file asks for, and ends the whole process
if that cannot be had; other numbers make it panic, with lines of its own on the screen.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from theory.support.errors import InputError
from theory.support.safe_reading import TABLE_BYTES, entries, read_json, require_regular

LARGEST = 2**20
"""The largest number of a token, or of anything else."""

LONGEST = 2**14
"""The most tokens of a text that is padded or cut, and the most that are added without a name."""

LENGTHS = {"Fixed", "max_length", "stride", "pad_to_multiple_of", "extra_ids"}
UNLIMITED = 10**18
"""From here on, a length stands for none: the library itself writes 10^30."""

UNSET = "model_max_length"
KINDS = {".json", ".txt", ".model"}


def require_plausible_tokenizer(folder: Path) -> None:
    """Refuse a tokenizer whose files hold numbers that none has, or are too large.

    Raises:
        InputError: they do, or a file cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"checkpoint: cannot load the tokenizer in {folder}: it is no folder")
    for path in sorted(p for p in folder.iterdir() if p.suffix in KINDS):
        require_regular(path, "checkpoint")
        if path.stat().st_size > TABLE_BYTES:
            raise InputError(f"checkpoint: expected at most {TABLE_BYTES:,} bytes in {path}")
        if path.suffix == ".json":
            _require_numbers(read_json(path, "checkpoint", TABLE_BYTES), path)


def _require_numbers(content: Any, path: Path) -> None:
    for name, value in entries(content):
        limit = LONGEST if name in LENGTHS else LARGEST
        for number in _numbers(name, value):
            unlimited = name == UNSET and number >= UNLIMITED
            if not (0 <= number <= limit or unlimited or isinstance(number, float)):
                raise InputError(
                    f"checkpoint: expected {name[:60]!r} from 0 to {limit:,} in {path}, got another number"
                )


def _numbers(name: str, value: Any) -> Iterator[int | float]:
    """A number that is a key, and those that it stands for, in lists too."""
    if name.lstrip("-").isdecimal():
        yield int(name) if len(name) < 20 else UNLIMITED
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, int | float):
            yield item
        elif isinstance(item, list):
            waiting.extend(item)


@contextmanager
def muted() -> Iterator[None]:
    """Say nothing on the screen: a panic prints lines before Python hears of it."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
