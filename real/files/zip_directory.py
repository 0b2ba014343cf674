"""The directory of a zip file, found as every program finds it."""

import struct
from typing import Any

from real.files.pickle_structure import require

END = struct.Struct("<4s4H2LH")
END_64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR_64 = struct.Struct("<4sLQL")
SEEN_64 = {0xFFFF, 0xFFFFFFFF}
"""Placeholders for numbers that stand in the 64-bit record instead."""


def directory(content: Any, size: int, most: int) -> tuple[int, int]:
    """Number of members and start of a zip file's directory, from the record that ends the file.

    Programs find the directory in different ways. They all find the same one if it ends where that
    record begins and the record ends the file.

    Args:
        content: the bytes of the file.
        size: how many they are.
        most: the most bytes that the directory may have.

    Raises:
        ValueError: the file does not end as a zip file, or has two directories, or a larger one.
    """
    at = size - END.size
    mark, _, _, _, entries, length, start, comment = END.unpack(content[max(at, 0) :])
    require(mark == b"PK\x05\x06" and comment == 0, "it does not end as a zip file")
    before = at - LOCATOR_64.size
    if content[max(before, 0) : max(before, 0) + 4] == b"PK\x06\x07":
        short = (entries, length, start)
        at = before - END_64.size
        _, _, where, _ = LOCATOR_64.unpack(content[before : before + LOCATOR_64.size])
        require(where == at and content[at : at + 4] == b"PK\x06\x06", "it has two directories")
        *_, entries, length, start = END_64.unpack(content[at:before])
        same = all(
            a in SEEN_64 or a == b for a, b in zip(short, (entries, length, start), strict=True)
        )
        require(same, "it has two directories")
    require(start + length == at and length <= most, "it has two directories")
    return entries, start
