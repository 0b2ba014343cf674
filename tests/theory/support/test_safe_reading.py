"""Files of others: read within limits, and lines that end where files have ends of lines."""

import os
import tracemalloc

import pytest

from tests.refusals import refusal
from theory.support.safe_reading import read_bytes, read_json, read_json_object, read_lines


@pytest.mark.parametrize(
    "read", [read_json, read_lines, lambda path, what: read_bytes(path, what, 9)]
)
def test_a_file_that_is_far_too_large_is_not_read_to_its_end(tmp_path, read):
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, 2**30)
    tracemalloc.start()
    try:
        with refusal(r"data: expected at most [\d,]+ bytes in .*large"):
            read(path, "data")
        assert tracemalloc.get_traced_memory()[1] < 2**28
    finally:
        tracemalloc.stop()


def test_as_many_bytes_as_may_be_are_read(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert read_bytes(tmp_path / "x", "data", 3) == b"abc"
    with refusal("at most 2 bytes"):
        read_bytes(tmp_path / "x", "data", 2)


def test_a_configuration_is_smaller_than_a_table(tmp_path):
    """A table of a million images is read, a configuration of that size is none."""
    path = tmp_path / "x.json"
    path.write_text('["' + "x" * 45_000_000 + '"]')
    assert len(read_lines(path, "data")) == 1
    with refusal("expected at most"):
        read_json(path, "checkpoint")


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("a\nb\n", ["a", "b"]),
        ("a\r\n\r\nb", ["a", "", "b"]),
        ("\ufeffa\n", ["a"]),
        ("a\u2028b\x0bc\x85d\n", ["a\u2028b\x0bc\x85d"]),
        ("", []),
    ],
)
def test_lines_end_where_files_have_ends_of_lines(tmp_path, content, lines):
    (tmp_path / "x").write_bytes(content.encode())
    assert read_lines(tmp_path / "x", "data") == lines


def test_what_is_no_text_or_no_object_is_one_line(tmp_path):
    (tmp_path / "x").write_bytes(b"\xff\xfe[1]")
    with refusal("data: .*x cannot be read as text"):
        read_lines(tmp_path / "x", "data")
    (tmp_path / "x").write_text("[1]")
    with refusal("data: expected a JSON object in .*x"):
        read_json_object(tmp_path / "x", "data")
