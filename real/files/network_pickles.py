"""Read tensors and constructor arguments from an EDM or EDM2 pickle without running its code.

These files are pickles of ``torch_utils.persistence`` classes: each network and each of its parts is
a call of ``_reconstruct_persistent_obj`` with a dictionary of the class's name, the source text of
its module, and its state. Upstream executes that source text; here it is skipped.
"""

import io
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from real.files.pickle_structure import Call, recorded, require
from real.files.torch_files import require_legacy_weights
from theory.support.errors import InputError

MAX_TENSORS = 20_000
MAX_NUMBERS = 100_000
MAX_NAME = 200
MAX_DIMENSIONS = 8
PLAIN = (bool, int, float, str, bytes, type(None))


@dataclass(frozen=True)
class PickledObject:
    """An object in a pickle: the arguments that it was made from, and its tensors.

    Attributes:
        class_name: name of its class.
        args, kwargs: arguments of its constructor.
        state: parameters and buffers of the object and of its parts, by dotted name, on the CPU.
    """

    class_name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Tensor] = field(default_factory=dict)


def unpickle(path: Path) -> Any:
    """The content of a pickle: plain values, containers, tensors, numpy values as lists, ``PickledObject``.

    Raises:
        InputError: the pickle is broken, holds anything else, asks for code to be run, or would
            unpack to more than its own size.
    """
    content = recorded(path, READERS.keys() | ARGUMENT_NAMES)
    try:
        return _Reader(path.stat().st_size).value(content)
    except ValueError as error:
        raise InputError(f"checkpoint: {path}: {error}") from error


class _Reader:
    """Turns the recorded content into values, every object once.

    Args:
        size: bytes of the file; the bytes unpacked from within it may not exceed that.
    """

    def __init__(self, size: int) -> None:
        self.room = size
        self.known: dict[int, Any] = {}

    def value(self, item: Any) -> Any:
        """The value of a recorded item."""
        if isinstance(item, PLAIN):
            return item
        known = self.known.get(id(item))
        if known is None:
            self.known[id(item)] = known = self._made(item)
        return known

    def _made(self, item: Any) -> Any:
        if isinstance(item, Call):
            require(item.name in READERS, f"{item.name} is called")
            return READERS[item.name](self, item)
        if isinstance(item, dict):
            return {key: self.value(value) for key, value in item.items()}
        if isinstance(item, list | tuple | set):
            return type(item)(self.value(value) for value in item)
        raise ValueError(f"{item.full} is no value")

    def unpacked(self, payload: bytes) -> bytes:
        """The payload, after its bytes are counted against the size of the file."""
        self.room -= len(payload)
        require(self.room >= 0, "it unpacks to more than its own size")
        return payload


def _arguments(call: Call, *kinds: Any) -> tuple[Any, ...]:
    given = call.arguments[: len(kinds)]
    fits = len(given) == len(kinds) and all(map(isinstance, given, kinds))
    require(fits, f"{call.name} is called with other arguments than networks have")
    return given


def _dictionary(reader: _Reader, call: Call) -> dict[Any, Any]:
    require(not call.arguments and call.state is None, f"{call.name} is made from arguments")
    return {key: reader.value(value) for key, value in call.items.items()}


def _set(reader: _Reader, call: Call) -> list[Any]:
    (values,) = _arguments(call, list)
    return reader.value(values)


def _persistent(reader: _Reader, call: Call) -> PickledObject:
    (meta,) = _arguments(call, dict)
    name, state = meta.get("class_name"), meta.get("state")
    require(isinstance(name, str) and isinstance(state, dict | None), "an object has no class")
    state = state or {}
    args, kwargs = (reader.value(state.get(key)) for key in ("_init_args", "_init_kwargs"))
    require(isinstance(args, tuple | None), f"the arguments of {name} are no tuple")
    require(isinstance(kwargs, dict | None), f"the keyword arguments of {name} are no dictionary")
    return PickledObject(str(name), args or (), kwargs or {}, _tensors(reader, state))


def _container(reader: _Reader, call: Call) -> PickledObject:
    require(isinstance(call.state, dict), f"{call.name} has no state")
    return PickledObject(call.name.rsplit(".", 1)[-1], state=_tensors(reader, call.state))


def _tensors(reader: _Reader, state: dict[str, Any]) -> dict[str, Tensor]:
    """Parameters and persistent buffers of an object and of its parts."""
    found: dict[str, Tensor] = {}
    passing = reader.value(state.get("_non_persistent_buffers_set")) or ()
    for group in ("_parameters", "_buffers"):
        for name, tensor in (reader.value(state.get(group)) or {}).items():
            if tensor is not None and name not in passing:
                require(isinstance(tensor, Tensor), "a parameter or buffer is no tensor")
                found[_name(name)] = tensor
    for name, part in (reader.value(state.get("_modules")) or {}).items():
        require(isinstance(part, PickledObject | None), "a part of a network is something else")
        inside = part.state if part else {}
        found |= {f"{_name(name)}.{inner}": tensor for inner, tensor in inside.items()}
        require(len(found) <= MAX_TENSORS, f"more than {MAX_TENSORS:,} tensors")
    return found


def _name(name: Any) -> str:
    require(isinstance(name, str) and len(name) <= MAX_NAME, "a part of a network has no name")
    return str(name)


def _storage(reader: _Reader, call: Call) -> Tensor:
    """The numbers of a storage as a tensor (n,), from the bytes that ``torch.save`` wrote."""
    (payload,) = _arguments(call, bytes)
    require(not payload.startswith(b"PK"), "a storage is compressed")
    file = io.BytesIO(reader.unpacked(payload))
    try:
        require_legacy_weights(payload)
        storage = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load of a broken file raises nearly anything
        raise ValueError("a storage is broken, or cannot be read without running code") from error
    require(isinstance(storage, torch.storage.TypedStorage), "a storage is something else")
    tensor = torch.tensor([], dtype=storage.dtype).set_(storage)
    require(tensor.nbytes <= len(payload), "a storage exceeds its bytes")
    return tensor


def _tensor(reader: _Reader, call: Call) -> Tensor:
    source, offset, size, stride = _arguments(call, Call, int, tuple, tuple)
    storage = reader.value(source)
    whole = all(isinstance(n, int) and n >= 0 for n in (offset, *size, *stride))
    require(isinstance(storage, Tensor) and whole, "a tensor has no storage or no shape")
    require(
        len(size) == len(stride) <= MAX_DIMENSIONS, "a tensor has other strides than dimensions"
    )
    count = math.prod(size)
    end = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1
    require(count <= len(storage), "a tensor has more elements than its storage")
    require(count == 0 or end <= len(storage), "a tensor reaches beyond its storage")
    return torch.as_strided(storage, size, stride, offset) if count else storage.new_empty(size)


def _parameter(reader: _Reader, call: Call) -> Tensor:
    (source,) = _arguments(call, Call)
    tensor = reader.value(source)
    require(isinstance(tensor, Tensor), "a parameter is no tensor")
    return tensor


def _dtype(reader: _Reader, call: Call) -> np.dtype[Any]:
    (code,) = _arguments(call, str)
    require(re.fullmatch("b1|[iu][1248]|f[248]", code), f"numbers are of type {code[:20]!r}")
    order = call.state[1] if isinstance(call.state, tuple) and len(call.state) > 1 else "|"
    require(order in ("<", ">", "=", "|"), "numbers have no byte order")
    return np.dtype(code).newbyteorder(order)


def _scalar(reader: _Reader, call: Call) -> bool | int | float:
    source, payload = _arguments(call, Call, bytes)
    (number,) = _numbers(reader, source, payload, 1)
    return number


def _array(reader: _Reader, call: Call) -> Any:
    """A numpy array as nested lists."""
    require(isinstance(call.state, tuple) and len(call.state) == 5, "an array has no state")
    _, shape, source, by_columns, payload = call.state
    return _shaped(reader, source, payload, shape, "F" if by_columns else "C")


def _from_buffer(reader: _Reader, call: Call) -> Any:
    """A numpy array of protocol 5 as nested lists."""
    payload, source, shape, order = _arguments(call, bytes, Call, tuple, str)
    return _shaped(reader, source, payload, shape, order)


def _shaped(reader: _Reader, source: Any, payload: Any, shape: Any, order: str) -> Any:
    whole = isinstance(shape, tuple) and all(isinstance(n, int) and n >= 0 for n in shape)
    require(whole and len(shape) <= MAX_DIMENSIONS, "an array has no shape")
    require(isinstance(payload, bytes) and order in ("C", "F"), "an array has no numbers")
    numbers = np.array(_numbers(reader, source, payload, math.prod(shape)))
    return numbers.reshape(shape, order="F" if order == "F" else "C").tolist()


def _numbers(reader: _Reader, source: Any, payload: bytes, count: int) -> list[Any]:
    dtype = reader.value(source)
    require(isinstance(dtype, np.dtype), "numbers have no type")
    require(count <= MAX_NUMBERS, f"an array of more than {MAX_NUMBERS:,} numbers")
    require(len(payload) == count * dtype.itemsize, "numbers are missing or left over")
    return np.frombuffer(payload, dtype).tolist()


_MODULES = "torch.nn.modules.container"
READERS: dict[str, Callable[[_Reader, Call], Any]] = {
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
    f"{_MODULES}.ModuleDict": _container,
    f"{_MODULES}.ModuleList": _container,
    f"{_MODULES}.Sequential": _container,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch.storage._load_from_bytes": _storage,
    "collections.OrderedDict": _dictionary,
    "dnnlib.util.EasyDict": _dictionary,
    "builtins.set": _set,
    "numpy.dtype": _dtype,
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray._reconstruct": _array for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _from_buffer for core in ("core", "_core")},
}
"""How each call that a network's pickle may hold becomes a value; any other call is refused."""

ARGUMENT_NAMES = {"numpy.ndarray"}
"""Names that occur only as arguments of calls."""
