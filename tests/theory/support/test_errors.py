"""An error in one line."""

import pytest

from tests.refusals import refusal
from theory.support.errors import MOST_LETTERS, one_line, one_line_with_type, refusing


def test_one_line_is_the_first_or_the_type():
    assert one_line(ValueError("\n no such layer\n(see the manual)")) == "no such layer"
    assert one_line(ZeroDivisionError()) == one_line(ZeroDivisionError(" ")) == "ZeroDivisionError"


def test_with_its_type_all_lines_are_one():
    assert one_line_with_type(KeyError("x")) == "KeyError: 'x'"
    assert one_line_with_type(ValueError("no\n  luck")) == "ValueError: no luck"


def test_a_long_error_is_cut_and_says_so():
    line = one_line_with_type(RuntimeError("size mismatch " * 500))
    assert line.startswith("RuntimeError: size mismatch") and line.endswith("letters more)")
    assert len(line) < MOST_LETTERS + 40


class Panic(BaseException):
    """As libraries in Rust raise it."""


def test_whatever_a_library_raises_is_refused_but_no_wish_to_end():
    for error in (ValueError("odd"), Panic("odd"), MemoryError("odd")):
        with refusal(f"data: x: {type(error).__name__}: odd"), refusing("data: x"):
            raise error
    for wish in (KeyboardInterrupt, SystemExit):
        with pytest.raises(wish), refusing("data: x"):
            raise wish
