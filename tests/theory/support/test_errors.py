"""An error in one line."""

from theory.support.errors import one_line, one_line_with_type


def test_one_line_is_the_first_or_the_type():
    assert one_line(ValueError("\n no such layer\n(see the manual)")) == "no such layer"
    assert one_line(ZeroDivisionError()) == one_line(ZeroDivisionError(" ")) == "ZeroDivisionError"


def test_with_its_type_all_lines_are_one():
    assert one_line_with_type(KeyError("x")) == "KeyError: 'x'"
    assert one_line_with_type(ValueError("no\n  luck")) == "ValueError: no luck"
