"""What a safetensors file says of itself is looked at before its library reads it."""

import struct

import pytest

from tests.refusals import refusal
from theory.support.safe_tensors import MOST_BYTES, require_header


def file_of(path, header, length=None):
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header)
    return path


@pytest.mark.parametrize(
    ("header", "length"), [(b'{"a":', 100), (b"", 2), (b"", 0), (b"[1]", 3), (b" {}", 3)]
)
def test_a_header_that_ends_early_or_is_none_is_refused(tmp_path, header, length):
    with refusal("data: .*x is truncated or broken safetensors"):
        require_header(file_of(tmp_path / "x", header, length), "data")
    require_header(file_of(tmp_path / "x", b"{}"), "data")


def test_texts_may_be_longer_than_names_where_there_are_any(tmp_path):
    path = file_of(tmp_path / "x", b'{"__metadata__":{"texts":"' + b"x" * MOST_BYTES + b'"}}')
    require_header(path, "data", texts=1000)
    with refusal("names far more than a network has"):
        require_header(path, "checkpoint")
