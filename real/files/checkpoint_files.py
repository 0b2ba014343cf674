"""Read a checkpoint file without running code; its first bytes tell of what kind it is.

PyTorch's zip and legacy files are checked (``torch_files``) and then read with
``weights_only=True``, .safetensors by their library, plain pickles (EDM) by ``network_pickles``.
A file that claims to hold more than its size is refused.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from real.files.network_pickles import unpickle
from real.files.torch_files import LEGACY, ZIP, require_weights
from theory.support.errors import InputError, refusing
from theory.support.safe_reading import read_json_object, require_regular
from theory.support.safe_tensors import require_header

PICKLE = re.compile(rb"\x80[\x02-\x05]")
HEADER = 16
ORDINARY = {
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn,
    torch.float8_e5m2, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
}  # fmt: skip
GROWTH = 2
"""How many times its size a file's weights may have: shared ones are counted once for each name."""


def read_checkpoint_file(path: Path) -> Any:
    """The content of a checkpoint file: a state dictionary, a list of them, or an unpickled object.

    Raises:
        InputError: the file is no checkpoint or is truncated, asks to run code, claims to hold more
            than a file of its size can, or holds tensors that no network has.
    """
    head, size = _head(path)
    if head.startswith((ZIP, LEGACY)):
        require_weights(path)
        content = _read_torch(path)
    elif _is_safetensors(head, size):
        content = _read_safetensors(path)
    elif PICKLE.match(head):
        return unpickle(path)
    else:
        raise InputError(
            f"checkpoint: {path} is no checkpoint: expected a PyTorch file, safetensors or a pickle"
        )
    tensors = list(_tensors(content))
    _require_ordinary(tensors, path)
    held = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if held > GROWTH * size:
        raise InputError(
            f"checkpoint: {path} has {size:,} bytes and says that it holds {held:,} of weights"
        )
    return content


def sidecar(path: Path) -> dict[str, Any]:
    """The JSON object in NAME.json beside a file NAME.*; {} if there is none.

    Raises:
        InputError: it cannot be read, or is no object.
    """
    beside = path.with_suffix(".json")
    if beside == path or not beside.is_file():
        return {}
    return read_json_object(beside, "checkpoint")


def _head(path: Path) -> tuple[bytes, int]:
    """The first bytes of a file, and its size."""
    require_regular(path, "checkpoint")
    try:
        with path.open("rb") as file:
            return file.read(HEADER), path.stat().st_size
    except OSError as error:
        raise InputError(f"checkpoint: {path} cannot be read: {error.strerror}") from error


def _read_torch(path: Path) -> Any:
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # given a path, torch.load would go by its suffix
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a parser makes of arbitrary bytes
        raise InputError(
            f"checkpoint: {path} is truncated, broken, or holds more than weights"
        ) from error


def _require_ordinary(tensors: list[Tensor], path: Path) -> None:
    """Refuse sparse, nested and quantized tensors, and those that are not on the CPU."""
    for tensor in tensors:
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
        if not plain or tensor.is_nested or tensor.dtype not in ORDINARY:
            raise InputError(
                f"checkpoint: {path}: expected plain tensors of floating-point or whole numbers, "
                f"got {tensor.dtype}, {tensor.layout} on {tensor.device.type}"
            )


def _is_safetensors(head: bytes, size: int) -> bool:
    """Whether a file begins as safetensors do: eight bytes of length, then JSON."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    require_header(path, "checkpoint")
    with refusing(f"checkpoint: {path} is truncated or broken safetensors"):
        return load_file(path)


def _tensors(content: Any) -> Iterator[Tensor]:
    """All tensors within nested containers of any depth; each container is visited once."""
    waiting, seen = [content], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, Mapping | list | tuple | set) and id(item) not in seen:
            seen.add(id(item))
            waiting.extend(item.values() if isinstance(item, Mapping) else item)
