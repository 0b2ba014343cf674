"""Read a checkpoint file without running code: what kind it is, is told from its first bytes.

PyTorch's zip and legacy files are read with ``weights_only=True``, .safetensors by their library,
plain pickles (EDM) by a restricted unpickler. No file may say that it holds more than it does.
"""

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from real.checkpoints.unpickling import unpickle
from theory.errors import InputError

ZIP = b"PK\x03\x04"
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
PICKLE = re.compile(rb"\x80[\x02-\x05]")
HEADER = 16
ASKED = re.compile(r"GLOBAL ([\w.]+)")
GROWTH = 2
"""How much more than its size a file may hold: shared weights are counted once for each name."""


def read(path: Path) -> Any:
    """What a checkpoint file holds: a state dictionary, a list of them, or extracted pickles.

    Raises:
        InputError: it is no checkpoint, is truncated, asks to run code, or says that it holds more
            than a file of its size can.
    """
    with path.open("rb") as file:
        head = file.read(HEADER)
    size = path.stat().st_size
    if head.startswith(ZIP):
        _require_honest_zip(path, size)
        content = _read_torch(path)
    elif head.startswith(LEGACY):
        content = _read_torch(path)
    elif _is_safetensors(head, size):
        content = _read_safetensors(path)
    elif PICKLE.match(head):
        return unpickle(path)
    else:
        raise InputError(
            f"checkpoint: {path} is no checkpoint: expected a PyTorch file, safetensors or a pickle"
        )
    held = sum(tensor.numel() * tensor.element_size() for tensor in _tensors(content))
    if held > GROWTH * size:
        raise InputError(
            f"checkpoint: {path} has {size:,} bytes and says that it holds {held:,} of weights"
        )
    return content


def sidecar(path: Path) -> dict[str, Any]:
    """The JSON object beside a file, of the same name with .json; {} if there is none.

    Raises:
        InputError: it cannot be read, or is no object.
    """
    beside = path.with_suffix(".json")
    if beside == path or not beside.is_file():
        return {}
    try:
        content = json.loads(beside.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"checkpoint: {beside} cannot be read as JSON") from error
    if not isinstance(content, dict):
        raise InputError(f"checkpoint: expected a JSON object in {beside}")
    return content


def _require_honest_zip(path: Path, size: int) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            declared = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"checkpoint: {path} is truncated or broken: {error}") from error
    if declared > size:
        raise InputError(
            f"checkpoint: {path} has {size:,} bytes and says that it unpacks to {declared:,}; "
            "PyTorch does not compress"
        )


def _read_torch(path: Path) -> Any:
    try:
        with path.open("rb") as file:  # given a path, torch.load would go by its suffix
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a parser makes of arbitrary bytes
        if asked := ASKED.search(str(error)):
            raise InputError(
                f"checkpoint: {path} asks for {asked[1]}: it may hold weights only, and no code of it is run"
            ) from error
        raise InputError(
            f"checkpoint: {path} is truncated, broken, or holds more than weights"
        ) from error


def _is_safetensors(head: bytes, size: int) -> bool:
    """Eight bytes of length, then JSON."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"checkpoint: {path} is truncated or broken safetensors") from error


def _tensors(content: Any) -> Iterator[Tensor]:
    """All tensors within nested containers, however deep, each container once."""
    waiting, seen = [content], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, Mapping | list | tuple | set) and id(item) not in seen:
            seen.add(id(item))
            waiting.extend(item.values() if isinstance(item, Mapping) else item)
