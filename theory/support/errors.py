"""Errors that a user can cause. Programs print their one line and exit with status 2."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

MOST_LETTERS = 300
"""Of an error that is not ours; PyTorch lists every weight that does not fit."""


class InputError(ValueError):
    """What was given cannot be used; the message says what was expected and what came."""


class NonFiniteError(InputError):
    """A network returned NaN or infinity; the message names the time."""


class OutputError(InputError):
    """An output cannot be written; the message names it."""


ENDED_EARLY = "a process of this run was lost or ended; the same command goes on from what was kept"


class LostProcessError(ConnectionError):
    """Another process of the run is gone."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNABORTED, ENDED_EARLY, "torchrun")


class FailedElsewhereError(InputError):
    """Another process of the run met bad input, and says what."""

    def __init__(self) -> None:
        super().__init__("torchrun: another process of this run met bad input")


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Whatever a library makes of arbitrary bytes is bad input, which ``what`` begins to tell.

    Raises:
        InputError: the block fails. Libraries in Rust panic with an error of their own base.
    """
    try:
        yield
    except (InputError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise InputError(f"{what}: {one_line_with_type(error)}") from error


def in_one_line(message: str) -> str:
    """A message as it is shown: a line without letters that a terminal would follow or not show."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(message.split()))


def one_line(error: BaseException) -> str:
    """The first line of an error's message, or the name of its type if the message is empty."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def one_line_with_type(error: BaseException) -> str:
    """``Type: message`` on one line: for errors of a user's own code, whose type tells the most."""
    line = " ".join(f"{type(error).__name__}: {error}".split())
    left = len(line) - MOST_LETTERS
    return line if left <= 0 else f"{line[:MOST_LETTERS]} ... ({left:,} letters more)"
