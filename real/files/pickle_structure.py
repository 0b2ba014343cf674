"""Read the structure of a pickle without running any of it.

A pickle is a program for a small stack machine. This module runs only the part of that machine that
makes plain containers. Whatever a pickle asks to be called or restored is recorded as data (``Call``)
and never called. The caller lists the names that a pickle may use, so nothing is ever imported.

Python's own unpickler does not serve here, even with restricted names: small malicious files make it
fill memory or overflow the stack.
"""

import mmap
import pickletools
import struct
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from real.files.unfolding import require_small
from theory.support.errors import InputError, one_line

MAX_OPERATIONS = 200_000
"""Far more than the published networks need, which take some ten thousands."""

PERSISTENT = "persistent"
"""Name of the ``Call`` by which a pickle refers to data outside of it, such as a tensor's numbers."""

BROKEN = (OSError, ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error)
"""The errors that decoding a broken file raises."""


@dataclass(frozen=True)
class Name:
    """A function or class that a pickle names, such as ``collections.OrderedDict``."""

    full: str


@dataclass(eq=False, slots=True)
class Call:
    """A call that a pickle asks for, and what it then puts into the result.

    Attributes:
        name: full name of the function or class.
        arguments: the recorded arguments.
        state: the state that the result was to be given; None if none was.
        items: the items that were to be set in the result, by key.
    """

    name: str
    arguments: tuple[Any, ...]
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


def recorded(path: Path, names: Set[str]) -> Any:
    """The content of a pickle file: None, numbers, text, bytes, containers, ``Call`` and ``Name``.

    Args:
        path: the file; anything after its first pickle is ignored.
        names: full names that it may use.

    Raises:
        InputError: the file is truncated, no pickle or too long, uses another name, or contains an
            operation that no pickle of a network contains.
    """
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as bytes_,
        ):
            return recorded_from(bytes_, names)
    except BROKEN as error:
        raise InputError(
            f"checkpoint: {path} cannot be read as a pickle: {one_line(error)}"
        ) from error


def recorded_from(content: Any, names: Set[str]) -> Any:
    """The content of a pickle in an open file, which is left at the end of that pickle.

    Args:
        content: bytes, or an object with ``read``, ``readline`` and ``tell``.
        names: full names that it may use; ``PERSISTENT`` among them if it may refer to data outside.

    Raises:
        any of ``BROKEN``: where ``recorded`` raises InputError.
    """
    machine = _Machine(names)
    for count, (operation, argument, _) in enumerate(pickletools.genops(content)):
        if count == MAX_OPERATIONS:
            raise ValueError(f"more than {MAX_OPERATIONS:,} operations")
        if operation.name == "STOP":
            content = machine.stack.pop()
            require_small(content, _parts)
            return content
        step = STEPS.get(operation.name)
        if step is None:
            raise ValueError(f"no pickle of a network uses {operation.name}")
        step(machine, argument)
    raise ValueError("it has no end")


class _Machine:
    """Stack, marks and memo of a pickle that is being read."""

    def __init__(self, names: Set[str]) -> None:
        self.names = names
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def mark(self) -> None:
        """Begin a new part of the stack."""
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        """Take off everything since the last mark."""
        values, self.stack = self.stack, self.below.pop()
        return values

    def push(self, value: Any) -> None:
        """Put a value onto the stack."""
        self.stack.append(value)

    def name(self, module: Any, attribute: Any) -> None:
        """Push a name, if it is one of those allowed."""
        full = f"{module}.{attribute}"
        if full not in self.names:
            raise ValueError(
                f"it asks for {full[:80]!r}: it may hold weights only, and no code of it is run"
            )
        self.push(Name(full))

    def call(self) -> None:
        """Record a call of the name below the topmost value, which holds the arguments."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not (isinstance(function, Name) and isinstance(arguments, tuple)):
            raise ValueError("it calls what is no function")
        self.push(Call(function.full, arguments))

    def refer(self) -> None:
        """Record a reference to data outside of the pickle."""
        require(PERSISTENT in self.names, "no pickle of a network uses BINPERSID")
        self.push(Call(PERSISTENT, (self.stack.pop(),)))

    def restore(self) -> None:
        """Record the state that the result of a call is to be given."""
        state, made = self.stack.pop(), self.stack[-1]
        if not isinstance(made, Call) or made.state is not None:
            raise ValueError("it restores what was not made")
        made.state = state

    def extend(self, values: list[Any]) -> None:
        """Append to the list on top."""
        require(isinstance(self.stack[-1], list), "it appends to what is no list")
        self.stack[-1].extend(values)

    def add(self, values: list[Any]) -> None:
        """Add to the set on top."""
        require(isinstance(self.stack[-1], set), "it adds to what is no set")
        self.stack[-1].update(_keys(values))

    def set_items(self, values: list[Any]) -> None:
        """Set items, given as keys and values in turn, of the dictionary or call on top."""
        top = self.stack[-1]
        items = top.items if isinstance(top, Call) else top
        require(isinstance(items, dict), "it sets items of what is no dictionary")
        items.update(zip(_keys(values[::2]), values[1::2], strict=True))

    def tuple_of(self, count: int) -> None:
        """Put the topmost values into a tuple."""
        first = len(self.stack) - count
        if first < 0:
            raise ValueError("its stack runs empty")
        self.stack[first:] = [tuple(self.stack[first:])]


def require(condition: object, complaint: str) -> None:
    """Refuse the content of a pickle, with a complaint that names no file yet.

    Raises:
        ValueError: the condition does not hold.
    """
    if not condition:
        raise ValueError(complaint)


def _parts(item: Any) -> list[Any] | None:
    """What a container or a call holds; None for anything else."""
    if isinstance(item, Call):
        return [*item.arguments, item.state, *item.items.keys(), *item.items.values()]
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]
    return list(item) if isinstance(item, list | tuple | set) else None


def _keys(values: list[Any]) -> list[str | int]:
    """Values that may be keys: hashing nested tuples could overflow the stack."""
    if not all(isinstance(value, str | int) for value in values):
        raise ValueError("it has a key that is neither text nor number")
    return values


Step = Callable[[_Machine, Any], None]


def _pushing(make: Callable[[Any], Any]) -> Step:
    return lambda machine, argument: machine.stack.append(make(argument))


_LITERALS = (
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "SHORT_BINSTRING"),
)

STEPS: dict[str, Step] = {
    "PROTO": lambda m, _: None,
    "FRAME": lambda m, _: None,
    **{name: _pushing(lambda argument: argument) for name in _LITERALS},
    "BYTEARRAY8": _pushing(bytes),
    "NONE": _pushing(lambda _: None),
    "NEWTRUE": _pushing(lambda _: True),
    "NEWFALSE": _pushing(lambda _: False),
    "EMPTY_LIST": _pushing(lambda _: []),
    "EMPTY_DICT": _pushing(lambda _: {}),
    "EMPTY_SET": _pushing(lambda _: set()),
    "EMPTY_TUPLE": _pushing(lambda _: ()),
    "MARK": lambda m, _: m.mark(),
    "TUPLE": lambda m, _: m.push(tuple(m.since_mark())),
    "TUPLE1": lambda m, _: m.tuple_of(1),
    "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3),
    "APPEND": lambda m, _: m.extend([m.stack.pop()]),
    "APPENDS": lambda m, _: m.extend(m.since_mark()),
    "ADDITEMS": lambda m, _: m.add(m.since_mark()),
    "SETITEM": lambda m, _: m.set_items([m.stack.pop(), m.stack.pop()][::-1]),
    "SETITEMS": lambda m, _: m.set_items(m.since_mark()),
    "MEMOIZE": lambda m, _: m.memo.update({len(m.memo): m.stack[-1]}),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda m, at: m.memo.update({at: m.stack[-1]})),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda m, at: m.stack.append(m.memo[at])),
    "GLOBAL": lambda m, argument: m.name(*argument.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: m.name(*[m.stack.pop(), m.stack.pop()][::-1]),
    "REDUCE": lambda m, _: m.call(),
    "NEWOBJ": lambda m, _: m.call(),
    "BINPERSID": lambda m, _: m.refer(),
    "BUILD": lambda m, _: m.restore(),
}
"""What each operation of a pickle does; any other operation is refused."""
