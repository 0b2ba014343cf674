"""Output files and folders appear whole or not at all, or are refused before any work."""

import json
import math
import os

import pytest

from theory.support.errors import InputError
from theory.support.output import (
    replacing_file,
    replacing_folder,
    require_file,
    require_folder,
    write_json,
)


def contents(folder):
    """Every file below a folder and its text, and every folder without files."""
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in folder.rglob("*")
        if path.is_file() or not any(path.iterdir())
    }


class Stopped(Exception):
    """What interrupts a block half-way."""


def test_a_file_is_replaced_when_the_block_succeeds(tmp_path):
    path = tmp_path / "out.txt"
    for text in ("first", "second"):
        with replacing_file(path) as temporary:
            temporary.write_text(text)
            assert text not in contents(tmp_path).get("out.txt", "")
        assert contents(tmp_path) == {"out.txt": text}


@pytest.mark.parametrize("old", [None, "old"])
def test_a_file_stays_as_it_was_when_the_block_raises(tmp_path, old):
    path = tmp_path / "out.txt"
    if old:
        path.write_text(old)
    before = contents(tmp_path)
    with pytest.raises(Stopped), replacing_file(path) as temporary:
        temporary.write_text("half")
        raise Stopped
    assert contents(tmp_path) == before


def test_writing_straight_to_the_file_would_be_seen(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("old")
    before = contents(tmp_path)
    with pytest.raises(Stopped), replacing_file(path):
        path.write_text("half")
        raise Stopped
    assert contents(tmp_path) != before


def test_a_folder_takes_in_the_files_and_keeps_its_others(tmp_path):
    out = tmp_path / "new" / "out"
    for name in ("one.txt", "deep/two.txt"):
        with replacing_folder(out) as folder:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(name)
            assert not (out / name).exists()
    assert contents(out) == {"one.txt": "one.txt", "deep/two.txt": "deep/two.txt"}


def test_a_folder_stays_as_it_was_when_the_block_raises(tmp_path):
    (tmp_path / "kept.txt").write_text("old")
    before = contents(tmp_path)
    with pytest.raises(Stopped), replacing_folder(tmp_path) as folder:
        (folder / "kept.txt").write_text("half")
        (folder / "more.txt").write_text("half")
        raise Stopped
    assert contents(tmp_path) == before
    with pytest.raises(Stopped), replacing_folder(tmp_path):
        (tmp_path / "kept.txt").write_text("half")
        raise Stopped
    assert contents(tmp_path) != before


def test_json_has_null_for_what_it_lacks(tmp_path):
    path = tmp_path / "deep" / "out.json"
    write_json(path, {"a": [1.5, math.inf, (math.nan, -math.inf)], "b": {"c": math.nan}, "d": "x"})
    assert json.loads(path.read_text()) == {
        "a": [1.5, None, [None, None]], "b": {"c": None}, "d": "x",
    }  # fmt: skip
    assert "NaN" not in path.read_text()
    assert "NaN" in json.dumps({"c": math.nan})


def test_json_that_cannot_be_written_keeps_the_old(tmp_path):
    path = tmp_path / "out.json"
    write_json(path, {"a": 1})
    before = contents(tmp_path)
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(path, {"a": object()})
    assert contents(tmp_path) == before


@pytest.fixture
def regular_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("kept")
    return path


def test_a_folder_is_refused_as_a_file(tmp_path):
    with pytest.raises(InputError, match=f"expected a file name, got the folder {tmp_path}"):
        require_file(tmp_path)
    with pytest.raises(InputError, match="expected a file name"), replacing_file(tmp_path):
        pytest.fail("the block ran")


def test_places_below_a_regular_file_are_refused(regular_file):
    for require in (require_file, require_folder):
        for below in ("out", "deep/out"):
            with pytest.raises(InputError, match=f"cannot write {regular_file / below}: "):
                require(regular_file / below)


def test_blocks_do_not_run_for_places_that_are_refused(regular_file):
    for replacing in (replacing_file, replacing_folder):
        with pytest.raises(InputError, match="cannot write"), replacing(regular_file / "out"):
            pytest.fail("the block ran")
    assert contents(regular_file.parent) == {"file": "kept"}


def test_a_regular_file_is_refused_as_a_folder_and_accepted_as_a_file(regular_file):
    with pytest.raises(InputError, match="cannot write"):
        require_folder(regular_file)
    require_file(regular_file)
    assert regular_file.read_text() == "kept"


def test_new_places_are_accepted_and_nothing_is_made_there(tmp_path):
    require_file(tmp_path / "new" / "out.json")
    require_folder(tmp_path / "new" / "out")
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("linked", [False, True])
def test_an_output_never_replaces_what_is_no_regular_file(tmp_path, linked):
    path, pipe = tmp_path / "out", tmp_path / "pipe"
    os.mkfifo(pipe)
    path.symlink_to(pipe)
    output = path if linked else pipe
    with pytest.raises(InputError, match="expected a regular file or a new name"):
        require_file(output)
    with pytest.raises(InputError, match="expected a regular file"):
        write_json(output, {})
    assert pipe.is_fifo()
    path.unlink()
    path.symlink_to(tmp_path / "none")
    write_json(path, {})
    assert path.is_file()
