"""Hostile pictures, archives, tables and labels: one line, whatever they hold, within 2 s and 500 MB."""

import io
import json
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from real.images.base import ImageSource
from real.images.groups import read_groups
from real.images.opening import OPENERS, open_images
from real.images.pixels import MOST_PIXELS
from tests.limits import within_limits
from tests.refusals import refusal

SHAPE = (1, 8, 8)


def opened(path) -> ImageSource:
    return open_images(str(path), "calibration", SHAPE)


def read(path):
    return list(opened(path))


def png(width=8, height=8, mode="L") -> bytes:
    content = io.BytesIO()
    Image.new(mode, (width, height)).save(content, "PNG")
    return content.getvalue()


def with_pictures(folder, count=3):
    folder.mkdir(exist_ok=True)
    for k in range(count):
        (folder / f"{k}.png").write_bytes(png())
    return folder


def sparse(path, size=2**32):
    """A file that says to have so many bytes and takes none."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


@pytest.mark.parametrize("name", ["0.png", "dataset.json", "metadata.jsonl", "metadata.csv"])
def test_files_of_four_gigabytes_are_not_read_whole(tmp_path, name):
    folder = with_pictures(tmp_path / "data")
    sparse(folder / name)
    with refusal("expected at most .* bytes in", name), within_limits(name):
        read(folder)
    with refusal("expected at most .* bytes in", "groups"), within_limits("groups"):
        read_groups(str(sparse(tmp_path / "groups.txt")))


def test_a_picture_as_large_as_may_be_stays_within_limits(tmp_path):
    folder = with_pictures(tmp_path / "data")
    side = int(MOST_PIXELS**0.5)
    (folder / "0.png").write_bytes(png(side, side, "L"))
    with within_limits("largest"):
        read(folder)
    (folder / "0.png").write_bytes(png(side, side + 100, "1"))
    with refusal(f"expected at most {MOST_PIXELS:,}"), within_limits("larger"):
        read(folder)


def test_pictures_with_broken_or_endless_parts(tmp_path):
    folder, whole = with_pictures(tmp_path / "data"), png()

    def chunk(kind, content):
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    endless = chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(10**8)))
    for content in (
        b"", whole[:20], whole[:33] + endless * 5 + whole[33:], b"BM" + bytes(60),
        b"RIFF\xff\xff\xff\xffWEBPVP8X" + bytes(30), b"\xff\xd8\xff\xe1\xff\xffExif" + bytes(40),
    ):  # fmt: skip
        (folder / "1.png").write_bytes(content)
        with refusal("1.png cannot be read as an image", content[:40]), within_limits(content[:40]):
            read(folder)


CAPTION = "one\u2028two\x85three\x0bfour\x1cfive"


def test_a_line_ends_where_files_have_ends_of_lines(tmp_path):
    folder = with_pictures(tmp_path / "data")
    rows = [
        json.dumps({"file_name": f"{k}.png", "text": CAPTION}, ensure_ascii=False) for k in (0, 1)
    ]
    assert len(rows[0].splitlines()) > 1  # the control: Unicode has other ends of lines
    (folder / "metadata.jsonl").write_text("\r\n".join(rows) + "\n", newline="")
    assert opened(folder).labels == [CAPTION] * 2
    (folder / "metadata.jsonl").unlink()
    table = f'file_name,text\n0.png,{CAPTION}\n1.png,"a\n\'b"\n'
    (folder / "metadata.csv").write_text("\ufeff" + table)
    assert opened(folder).labels == [CAPTION, "a\n'b"]
    (tmp_path / "groups").write_text(f"{CAPTION}\nb\n")
    assert read_groups(str(tmp_path / "groups")) == [CAPTION, "b"]


def test_overlong_labels_and_missing_fields(tmp_path):
    folder = with_pictures(tmp_path / "data")
    for name, text in (
        ("metadata.csv", "file_name,label\n0.png," + "9" * 5000 + "\n1.png,1\n"),
        ("metadata.csv", "file_name,label\n0.png,99999999999999999999\n1.png,1\n"),
        ("metadata.csv", "file_name,label\n0.png\n1.png,1\n"),
        ("metadata.csv", "file_name\n0.png\n"),
        ("metadata.csv", 'file_name,text\n"' + "x" * 200_000),
        ("metadata.csv", "file_name,text\n" + "x" * 5000 + ",a\n1.png,b\n"),
        ("metadata.csv", "file_name,text\n\0,a\n1.png,b\n"),
        ("metadata.jsonl", '{"file_name": "' + "x" * 5000 + '", "text": "a"}\n'),
        ("metadata.jsonl", '{"file_name": "\\u0000", "text": "a"}\n' * 2),
        ("metadata.jsonl", '{"text": "a"}\n'),
        ("metadata.jsonl", "1\n"),
        ("dataset.json", '{"labels": [["0.png", 1' + "0" * 5000 + "]]}"),
        ("dataset.json", '{"labels": [["0.png"]]}'),
        ("dataset.json", '{"labels": [[["0.png"], 1]]}'),
        ("dataset.json", "{}"),
    ):
        (folder / name).write_text(text)
        with refusal("^data: ", (name, text[:60])):
            read(folder)
        (folder / name).unlink()


def arrays(**more) -> bytes:
    content = io.BytesIO()
    np.savez(content, images=np.zeros((3, 8, 8), np.uint8), **more)
    return content.getvalue()


def archive(*members, compression=zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as file:
        for name, data in members:
            file.writestr(name, data)
    return content.getvalue()


def header(text: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def test_broken_members_names_and_headers_of_archives(tmp_path):
    picture, whole = png(), arrays()
    array = header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (0,)}\n")
    for name, content in (
        ("a.npz", b""), ("a.npz", whole[:-30]), ("a.npz", whole[:60]), ("a.npz", b"PK\x05\x06" + bytes(18)),
        ("a.npz", whole.replace(b"\x93NUMPY\x01", b"\x93NUMPY\x09")),
        ("a.npz", archive(("images.npy", header(b"{'descr': (((((((((((((((")))),
        ("a.npz", archive(("images.npy", header(b"{'descr': '|O', 'fortran_order': 0, 'shape': (9,)}")))),
        ("a.npz", archive(("images.npy", header(b"(" * 9000)))),
        ("a.npz", archive(("images.npy", b""))), ("a.npz", archive(("images", b"x"))),
        ("a.npz", arrays(labels=np.array(["x"] * 3))), ("a.npz", arrays(labels=np.array(1))),
        ("a.npz", archive(*((f"{k}.npy", array) for k in range(60_000)))),
        ("a.zip", b""), ("a.zip", archive(("0.png", picture), ("1.png", picture))[:-40]),
        ("a.zip", archive(("0.png", b"x"), ("1.png", picture))),
        ("a.zip", archive(("0.png", picture), ("1.png", picture), ("dataset.json", b"\xff"))),
        ("a.zip", archive(("0.png", picture), ("1.png", bytes(10**8)), compression=zipfile.ZIP_DEFLATED)),
    ):  # fmt: skip
        path = tmp_path / name
        path.write_bytes(content)
        with refusal("^data: ", content[:60]), within_limits(content[:60]):
            read(path)
        path.unlink()


def test_a_reader_that_raises_anything_is_one_line(monkeypatch):
    def broken(*_):
        raise IndexError("as a careless reader does")

    monkeypatch.setitem(OPENERS, "digits", broken)
    with refusal("data: digits cannot be read: IndexError"):
        opened("digits")
    monkeypatch.setitem(OPENERS, "digits", lambda *_: ImageSource("x", 4, broken))
    source = opened("digits")
    with refusal("data: digits cannot be read: IndexError"):
        list(source)
