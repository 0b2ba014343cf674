"""What torchrun says of a process, in its environment; loads no library."""

import os

from theory.support.errors import InputError


def under_torchrun() -> bool:
    """Whether torchrun, or a launcher of its manner, started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def process_rank() -> int:
    """The number of this process among all, from 0."""
    return _number("RANK", 0)


def process_count() -> int:
    """How many processes there are."""
    return _number("WORLD_SIZE", 1)


def process_rank_here() -> int:
    """The number of this process among those of this machine, from 0."""
    return _number("LOCAL_RANK", 0)


def process_count_here() -> int:
    """How many processes there are on this machine."""
    return max(1, _number("LOCAL_WORLD_SIZE", 1))


def _number(name: str, otherwise: int) -> int:
    if not under_torchrun():
        return otherwise
    text = os.environ.get(name, str(otherwise))
    if not text.isdecimal():
        raise InputError(f"torchrun: expected a number in {name}, got {text!r:.60}")
    return int(text)
