"""Files that others wrote: only regular ones are opened, and their JSON is read within limits."""

import json
import stat
from pathlib import Path
from typing import Any

from theory.support.errors import InputError

CONFIGURATION = 2**22
"""Bytes of a configuration; the largest published ones have some thousands."""

TABLE = 2**26
"""Bytes of a table with a row for each image; that of ImageNet's 1.3 million has 45 million."""

MOST_BRACKETS = 2_000_000
MOST_COMMAS = 6_000_000
"""Of each there are as many as containers and values, which take far more memory than their text."""


def require_regular(path: Path, what: str) -> None:
    """Refuse what opening could wait for ever, or read without end: pipes, devices, sockets.

    Args:
        what: begins the message, such as ``checkpoint``.

    Raises:
        InputError: it is no regular file nor a link to one, or there is none.
    """
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no name of a file"
        raise InputError(f"{what}: {str(path)[:200]} cannot be read: {reason}") from error
    if not regular:
        raise InputError(f"{what}: expected a regular file, {path} is none")


def read_json(path: Path, what: str, most: int = CONFIGURATION) -> Any:
    """The value in a JSON file.

    Args:
        what: begins the message, such as ``checkpoint``.
        most: bytes that it may have.

    Raises:
        InputError: it is no regular file, cannot be read, or is far larger than such files are.
    """
    require_regular(path, what)
    try:
        if path.stat().st_size > most:
            raise ValueError(f"more than {most:,} bytes")
        return parsed(path.read_bytes(), most)
    except (OSError, ValueError) as error:
        raise InputError(f"{what}: {path} cannot be read as JSON") from error


def read_object(path: Path, what: str) -> dict[str, Any]:
    """The object in a JSON file of a configuration's size.

    Raises:
        InputError: as ``read_json``, or it is something else.
    """
    content = read_json(path, what)
    if not isinstance(content, dict):
        raise InputError(f"{what}: expected a JSON object in {path}")
    return content


def parsed(text: bytes | str, most: int = CONFIGURATION) -> Any:
    """The value of a JSON text, in memory that is bounded by its length.

    Raises:
        ValueError: no JSON, too long, nested too deep, or of more values than such texts have.
    """
    encoded = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    if len(encoded) > most:
        raise ValueError(f"more than {most:,} bytes of JSON")
    if encoded.count(b"[") + encoded.count(b"{") > MOST_BRACKETS:
        raise ValueError(f"more than {MOST_BRACKETS:,} lists and objects")
    if encoded.count(b",") > MOST_COMMAS:
        raise ValueError(f"more than {MOST_COMMAS:,} values")
    try:
        return json.loads(encoded)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
