"""Files of ``torch.save`` are checked before PyTorch reads them: zip files, and the older format.

zip       NAME/data.pkl, and the numbers of each storage uncompressed in NAME/data/KEY.
legacy    five pickles (a magic number, a version, the system, the content, the keys), then for
          each key the number of its numbers (int64) and the numbers.
"""

import io
import mmap
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from real.files.pickle_structure import BROKEN, recorded_from, require
from real.files.torch_pickles import NAMES, Storage, storages
from real.files.zip_directory import directory
from theory.support.errors import InputError, one_line

ZIP = b"PK\x03\x04"
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
BEFORE_CONTENT = 3
"""Pickles of a legacy file before its content."""

MAX_PICKLE = 2**26
MAX_DIRECTORY = 2**25
"""Bytes; a member takes about a hundred, and there is one for each storage."""

MEMBER = re.compile(r"[ -~]+")


def require_weights(path: Path) -> dict[str, Storage]:
    """The storages of a file of ``torch.save``, by key, if the file contains nothing but weights.

    Raises:
        InputError: the file is of another kind or truncated, claims to hold more bytes than it has,
            or describes anything but tensors and plain values.
    """
    size = path.stat().st_size
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            zipped = content[: len(ZIP)] == ZIP
            return _in_zip(file, content, size) if zipped else _in_legacy(content, size)
    except (*BROKEN, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise InputError(
            f"checkpoint: {path} is truncated, broken, or holds more than weights: {one_line(error)}"
        ) from error


def require_legacy_weights(content: bytes) -> None:
    """Check the bytes of a file in the older format, as ``require_weights`` does.

    Raises:
        ValueError: where ``require_weights`` raises InputError.
    """
    try:
        _in_legacy(io.BytesIO(content), len(content))
    except BROKEN as error:
        raise ValueError(one_line(error)) from error


def _in_legacy(content: Any, size: int) -> dict[str, Storage]:
    require(content.read(len(LEGACY)) == LEGACY, "it is no file of torch.save")
    content.seek(0)
    for _ in range(BEFORE_CONTENT):
        recorded_from(content, frozenset())
    found = storages(recorded_from(content, NAMES))
    _require_room(found, size)
    keys = recorded_from(content, frozenset())
    require(isinstance(keys, list) and set(keys) == found.keys(), "it lacks storages")
    for key in keys:
        (length,) = struct.unpack("<q", content.read(8))
        require(length == found[key].length, "a storage has another length")
        require(content.tell() + found[key].nbytes <= size, "it ends within a storage")
        content.seek(found[key].nbytes, io.SEEK_CUR)
    return found


def _in_zip(file: Any, content: Any, size: int) -> dict[str, Storage]:
    entries, start = directory(content, size, MAX_DIRECTORY)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        require(archive.start_dir == start and len(members) == entries, "it has two directories")
        _require_stored(members, size)
        sizes = {part.filename: part.file_size for part in members}
        folder = members[0].filename.partition("/")[0]
        pickled = f"{folder}/data.pkl"
        require(sizes.get(pickled, MAX_PICKLE + 1) <= MAX_PICKLE, "it has no data.pkl")
        found = storages(recorded_from(archive.read(pickled), NAMES))
    _require_room(found, size)
    for key, storage in found.items():
        held = sizes.get(f"{folder}/data/{key}")
        require(held == storage.nbytes, "a storage is missing or of another size")
    return found


def _require_stored(members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse compressed or encrypted members, repeated names, and more bytes than the file has."""
    require(members, "it is empty")
    declared = sum(part.file_size for part in members)
    require(
        declared <= size,
        f"it has {size:,} bytes and says that it unpacks to {declared:,}; PyTorch does not compress",
    )
    names = {part.filename.lower() for part in members}
    require(len(names) == len(members), "a member is there twice")
    for part in members:
        whole = part.compress_size == part.file_size and not part.flag_bits & 1
        require(part.compress_type == zipfile.ZIP_STORED and whole, "it is compressed or encrypted")
        plain = MEMBER.fullmatch(part.filename) and part.filename == part.orig_filename
        require(plain, "a member has no plain name")


def _require_room(found: Mapping[str, Storage], size: int) -> None:
    declared = sum(storage.nbytes for storage in found.values())
    require(
        declared <= size, f"it has {size:,} bytes and says that it holds {declared:,} of weights"
    )
