"""The storages that a pickle of ``torch.save`` refers to, if it describes nothing but weights.

PyTorch's own restricted unpickler calls functions with any arguments, sets attributes of the results,
and hashes tuples of any depth: a small file can take all memory or end the process. Here the
instructions are recorded and never followed, and whatever weights do not need is refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from real.files.pickle_structure import PERSISTENT, Call, Name, require

STORAGES = {
    "torch.DoubleStorage": 8, "torch.FloatStorage": 4, "torch.HalfStorage": 2,
    "torch.BFloat16Storage": 2, "torch.LongStorage": 8, "torch.IntStorage": 4,
    "torch.ShortStorage": 2, "torch.CharStorage": 1, "torch.ByteStorage": 1, "torch.BoolStorage": 1,
}  # fmt: skip
"""Kinds of storage, and the bytes of one number in each."""

TENSOR = "torch._utils._rebuild_tensor_v2"
PARAMETER = "torch._utils._rebuild_parameter"
ORDERED = "collections.OrderedDict"
COUNTERS = {"collections.Counter"}
SETS = {"builtins.set", "__builtin__.set"}
SIZE = "torch.Size"
DEVICE = "torch.device"
ENCODE = "_codecs.encode"
DTYPES = {
    f"torch.{name}"
    for name in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8",
                 "uint8", "bool")
}  # fmt: skip
NAMES = {
    *STORAGES, TENSOR, PARAMETER, ORDERED, *COUNTERS, *SETS, SIZE, DEVICE, ENCODE, *DTYPES, PERSISTENT,
}  # fmt: skip
"""The names in state dictionaries, weight averages, and states of optimizers and learning rates."""

MAX_DIMENSIONS = 8
MODULE_VERSIONS = {"_metadata"}
"""The only attribute that a state dictionary of ``torch.nn`` has besides its items."""


@dataclass(frozen=True)
class Storage:
    """Numbers that a pickle refers to, and that lie outside of it.

    Attributes:
        itemsize: bytes of one number.
        length: how many numbers there are.
    """

    itemsize: int
    length: int

    @property
    def nbytes(self) -> int:
        """Bytes of all the numbers."""
        return self.itemsize * self.length


def storages(content: Any) -> dict[str, Storage]:
    """The storages that a recorded pickle refers to, by key.

    Raises:
        ValueError: the pickle holds or asks for anything but weights and plain values.
    """
    found: dict[str, Storage] = {}
    for item in _everything(content):
        if isinstance(item, Call) and item.name == PERSISTENT:
            key, storage = _storage(item)
            require(found.setdefault(key, storage) == storage, "a storage has two sizes")
    return found


def _everything(content: Any) -> Iterator[Any]:
    """Every container and call in the content, once each, after it was checked."""
    waiting, seen = [content], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, Call | list | tuple | set | dict) and id(item) not in seen:
            seen.add(id(item))
            yield item
            waiting.extend(_parts(item))
        elif isinstance(item, Name):
            require(item.full in DTYPES, f"{item.full} is no value")


def _parts(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return list(item.values())
    if not isinstance(item, Call):
        return list(item)
    require(item.name in CALLS, f"{item.name} is called")
    require(not item.items or item.name == ORDERED, f"items of {item.name} are set")
    require(item.state is None or item.name == ORDERED, f"attributes of {item.name} are set")
    return CALLS[item.name](item)


def _storage(call: Call) -> tuple[str, Storage]:
    (given,) = call.arguments
    require(isinstance(given, tuple) and len(given) in (5, 6), "a storage is told in another way")
    what, kind, key, place, length = given[:5]
    whole = isinstance(kind, Name) and kind.full in STORAGES and _natural(length)
    texts = what == "storage" and isinstance(key, str) and isinstance(place, str)
    require(whole and texts, "a storage is of an unknown kind")
    require(given[5:] in ((), (None,)), "a storage is part of another")
    return key, Storage(STORAGES[kind.full], length)


def _tensor(call: Call) -> list[Any]:
    require(len(call.arguments) in (6, 7), "a tensor is made from other arguments")
    source, offset, size, stride, grad, hooks = call.arguments[:6]
    require(isinstance(source, Call) and source.name == PERSISTENT, "a tensor has no storage")
    require(call.arguments[6:] in ((), (None,)), "a tensor has attributes")
    require(isinstance(grad, bool) and _is_empty(hooks), "a tensor has hooks")
    shape = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride)
    require(shape and len(size) <= MAX_DIMENSIONS, "a tensor has no shape")
    require(all(map(_natural, (offset, *size, *stride))), "a tensor has no shape")
    _, storage = _storage(source)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    require(0 in size or last < storage.length, "a tensor reaches beyond its storage")
    return [source]


def _parameter(call: Call) -> list[Any]:
    require(len(call.arguments) == 3, "a parameter is made from other arguments")
    source, grad, hooks = call.arguments
    require(isinstance(source, Call) and source.name == TENSOR, "a parameter is no tensor")
    require(isinstance(grad, bool) and _is_empty(hooks), "a parameter has hooks")
    return [source]


def _ordered(call: Call) -> list[Any]:
    require(call.arguments == (), f"{call.name} is made from arguments")
    state = {} if call.state is None else call.state
    fits = isinstance(state, dict) and state.keys() <= MODULE_VERSIONS
    require(fits, "attributes of a dictionary are set")
    return [*call.items.values(), *state.values()]


def _counter(call: Call) -> list[Any]:
    given = call.arguments
    counts = (
        len(given) == 1 and isinstance(given[0], dict) and all(map(_natural, given[0].values()))
    )
    require(counts, "a counter is made from something else")
    return []


def _set(call: Call) -> list[Any]:
    given = call.arguments
    fits = len(given) == 1 and isinstance(given[0], list)
    require(fits and all(isinstance(v, str | int) for v in given[0]), "a set holds something else")
    return []


def _size(call: Call) -> list[Any]:
    given = call.arguments
    fits = len(given) == 1 and isinstance(given[0], tuple) and len(given[0]) <= MAX_DIMENSIONS
    require(fits and all(map(_natural, given[0])), "a size is made from something else")
    return []


def _device(call: Call) -> list[Any]:
    require(all(isinstance(v, str | int) for v in call.arguments), "a device has no name")
    return []


def _encoded(call: Call) -> list[Any]:
    """Bytes, as pickle protocol 2 writes them."""
    given = call.arguments
    fits = len(given) == 2 and isinstance(given[0], str) and given[1] == "latin1"
    require(fits, "a text is encoded in another way")
    return []


def _is_empty(hooks: Any) -> bool:
    called = isinstance(hooks, Call) and hooks.name == ORDERED and hooks.arguments == ()
    return called and not hooks.items and hooks.state is None


def _natural(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 2**63


CALLS: Mapping[str, Any] = {
    PERSISTENT: lambda call: [],
    TENSOR: _tensor,
    PARAMETER: _parameter,
    ORDERED: _ordered,
    SIZE: _size,
    DEVICE: _device,
    ENCODE: _encoded,
    **dict.fromkeys(COUNTERS, _counter),
    **dict.fromkeys(SETS, _set),
}
"""The check of each call; it returns the values within the call that are still to be checked."""
