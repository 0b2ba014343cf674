"""Reading files that others wrote: only regular files are opened, and JSON is read within limits."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from theory.support.errors import InputError

CONFIGURATION_BYTES = 2**22
"""Most bytes of a configuration; the largest published ones have some thousands."""

TABLE_BYTES = 2**26
"""Most bytes of a table with a row per image; that of ImageNet's 1.3 million images has 45 million."""

MOST_BRACKETS = 2_000_000
MOST_COMMAS = 6_000_000
"""Limits on containers and values, which take far more memory than the text they are read from."""


def require_regular(path: Path, what: str) -> None:
    """Refuse pipes, devices and sockets, on which a read could wait for ever or never end.

    Args:
        what: begins the message, such as ``checkpoint``.

    Raises:
        InputError: there is no such file, or it is neither a regular file nor a link to one.
    """
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no name of a file"
        raise InputError(f"{what}: {str(path)[:200]} cannot be read: {reason}") from error
    if not regular:
        raise InputError(f"{what}: expected a regular file, {path} is none")


def read_bytes(path: Path, what: str, most: int) -> bytes:
    """The content of a file of at most so many bytes.

    Args:
        path: the file.
        what: begins the message, such as ``data``.
        most: the most bytes that the file may have.

    Raises:
        InputError: it is no regular file, cannot be read, or is larger.
    """
    require_regular(path, what)
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise InputError(f"{what}: {path} cannot be read: {error.strerror}") from error
    if len(content) > most:
        raise InputError(f"{what}: expected at most {most:,} bytes in {path}")
    return content


def read_lines(path: Path, what: str) -> list[str]:
    """The lines of a table, which end where files have ends of lines: not where Unicode has others.

    Raises:
        InputError: it is no regular file, larger than ``TABLE_BYTES``, or no text.
    """
    try:
        text = read_bytes(path, what, TABLE_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{what}: {path} cannot be read as text") from error
    lines = text.replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def read_json(path: Path, what: str, most: int = CONFIGURATION_BYTES) -> Any:
    """The value in a JSON file.

    Args:
        path: the file.
        what: begins the message, such as ``checkpoint``.
        most: the most bytes that the file may have.

    Raises:
        InputError: it is no regular file, is larger than ``most``, or is no JSON.
    """
    content = read_bytes(path, what, most)
    try:
        return parse_json(content, most)
    except ValueError as error:
        raise InputError(f"{what}: {path} cannot be read as JSON") from error


def read_json_object(path: Path, what: str) -> dict[str, Any]:
    """The object in a JSON file of at most ``CONFIGURATION_BYTES``.

    Raises:
        InputError: as ``read_json`` does, or if the value is no object.
    """
    content = read_json(path, what)
    if not isinstance(content, dict):
        raise InputError(f"{what}: expected a JSON object in {path}")
    return content


def entries(content: Any) -> Iterator[tuple[str, Any]]:
    """The keys of a JSON value and what they stand for, at whatever depth they are."""
    waiting = [content]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield from item.items()
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def parse_json(text: bytes | str, most: int = CONFIGURATION_BYTES) -> Any:
    """The value of a JSON text, of which at most ``most`` bytes are accepted.

    Raises:
        ValueError: it is no JSON, too long, nested too deep, or holds too many values.
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
