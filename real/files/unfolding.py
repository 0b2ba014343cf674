"""How much nested containers hold if all that they refer to several times is written out.

A list of twice a list of twice a list ... takes three operations of a pickle for each doubling, and no
memory for as long as nobody prints, dumps or compares it.
"""

from collections.abc import Callable
from typing import Any

MOST, TIMES = 4_000_000, 4
"""Values that printing may meet, and so many times those that are held once."""

NESTING = 100
BEYOND = 10**12
LETTERS, BYTES, BITS = 64, 8, 64
"""How many letters of a text, bytes, and bits of a number count as much as a value."""

Parts = Callable[[Any], list[Any] | None]
"""What a container holds; None for what is no container."""


def require_small(content: Any, parts: Parts) -> None:
    """Refuse what unfolds to far more than it holds, contains itself, or is nested deep.

    Raises:
        ValueError: it does.
    """
    found: dict[int, tuple[int, int] | None] = {}
    held, waiting = 0, [content] if parts(content) is not None else []
    while waiting:
        item = waiting[-1]
        if id(item) not in found:
            found[id(item)] = None  # under way
            waiting.extend(_unseen(parts(item) or [], parts, found))
            continue
        waiting.pop()
        if found[id(item)] is None:
            own, size, depth = _measured(parts(item) or [], found)
            held += own
            found[id(item)] = size, depth
            if size > MOST + TIMES * held:
                raise ValueError("it refers to the same values too often")
            if depth > NESTING:
                raise ValueError(f"nested more than {NESTING} deep")


def _unseen(inner: list[Any], parts: Parts, found: dict[int, tuple[int, int] | None]) -> list[Any]:
    """The containers that are to be measured before the one that holds them."""
    unseen = []
    for part in inner:
        if id(part) in found:
            if found[id(part)] is None:
                raise ValueError("an object contains itself")
        elif parts(part) is not None:
            unseen.append(part)
    return unseen


def _measured(inner: list[Any], found: dict[int, tuple[int, int] | None]) -> tuple[int, int, int]:
    """Values of a container itself, values as it unfolds, and how deep it is."""
    own = size = depth = 1
    for part in inner:
        known = found.get(id(part))
        if known:
            size, depth = size + known[0], max(depth, 1 + known[1])
        else:
            weight = _weight(part)
            own, size = own + weight, size + weight
            if weight > 1:
                found[id(part)] = weight, 0
    return own, min(size, BEYOND), depth


def _weight(value: Any) -> int:
    """What a value that is no container counts."""
    if isinstance(value, str):
        return 1 + len(value) // LETTERS
    if isinstance(value, bytes):
        return 1 + len(value) // BYTES
    return 1 + value.bit_length() // BITS if isinstance(value, int) else 1
