"""An error in one line."""

from theory.support.errors import MOST_LETTERS, one_line, one_line_with_type


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
