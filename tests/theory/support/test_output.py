"""Output files and folders appear whole or not at all, or are refused before any work."""

import errno
import json
import math
import os
import stat

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from tests.refusals import refusal
from theory.support import stored
from theory.support.errors import InputError, OutputError
from theory.support.output import (
    keep,
    replacing_file,
    replacing_folder,
    require_file,
    require_folder,
    require_other,
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


@pytest.mark.parametrize("require", [require_file, require_folder])
def test_what_a_killed_run_left_goes_before_the_next_begins(tmp_path, require):
    left = tmp_path / ".partial-abcd_123"
    left.mkdir()
    (left / "half").write_text("half")
    require(tmp_path / "out")
    assert contents(tmp_path) == {}


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


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_modes_are_those_of_new_files(tmp_path, umask):
    save_file({"x": torch.zeros(2)}, tmp_path / "bare")
    assert (
        stat.S_IMODE((tmp_path / "bare").stat().st_mode) == 0o600
    )  # the control: the library's own
    stored.write(tmp_path / "x", stored.Contents({"x": torch.zeros(2)}), "format")
    write_json(tmp_path / "new" / "x.json", {})
    with replacing_folder(tmp_path / "out") as folder:
        (folder / "deep").mkdir()
        for name in ("new", "mode", "deep/x"):
            save_file({"x": torch.zeros(2)}, folder / name)
    written = [p for name in ("new", "out") for p in (tmp_path / name).rglob("*") if p.is_file()]
    files = [tmp_path / "x", *written]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o666 & ~umask}
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o777 & ~umask
    assert len(files) == 5


def test_what_appears_is_on_the_disk_before(tmp_path, monkeypatch):
    settled, sync = set(), os.fsync

    def remembered(descriptor):
        settled.add(os.fstat(descriptor).st_ino)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", remembered)
    write_json(tmp_path / "x.json", {})
    with replacing_folder(tmp_path / "out") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "y").write_text("y")
    written = [tmp_path / "x.json", tmp_path / "out" / "deep" / "y"]
    assert {path.stat().st_ino for path in written} <= settled


def full(path):
    with replacing_file(path) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_in_rust(path):
    with replacing_file(path):
        raise SafetensorError("Error while serializing: I/O error: Full (os error 28)")


@pytest.mark.parametrize("write", [full, full_in_rust])
def test_a_full_disk_is_one_line_and_the_old_file_stays(tmp_path, write):
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(
        OutputError, match=f"^output: cannot write {path}: No space left on device$"
    ):
        write(path)
    assert contents(tmp_path) == {"out": "old"}


def test_other_errors_are_not_taken_for_those_of_the_disk(tmp_path):
    for error in (InputError("x"), RuntimeError("x"), KeyError("x")):
        with pytest.raises(type(error)) as caught, replacing_file(tmp_path / "out"):
            raise error
        assert caught.value is error


def test_a_result_without_a_place_is_kept_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))

    def write(path):
        if path == tmp_path / "out":
            full(path)
        write_json(path, {"a": 1})
        return "done"

    with refusal("No space left on device; it is kept as .*/temporary/kept-.*/out$"):
        keep(tmp_path / "out", write)
    (kept,) = (tmp_path / "temporary").rglob("out")
    assert json.loads(kept.read_text()) == {"a": 1}
    assert keep(tmp_path / "other", write) == "done"
    with refusal("No space left on device$"):
        keep(tmp_path / "out", full)


def test_an_output_that_is_an_input_is_refused(tmp_path):
    given = tmp_path / "given"
    given.write_text("kept")
    (tmp_path / "link").symlink_to(given)
    os.link(given, tmp_path / "hard")
    for same in (given, tmp_path / "link", tmp_path / "hard", tmp_path / "." / "given"):
        with refusal("expected another place than the input"):
            require_other(same, tmp_path / "none", given)
    require_other(tmp_path / "none", tmp_path / "none", given)
    require_other(tmp_path / ("n" * 300), given)  # no file can have this name
