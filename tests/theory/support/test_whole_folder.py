"""A folder changes as one: killed at any step, it holds all of the old files or all of the new ones."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.theory.support.killed_writes import texts, write
from theory.support import whole_folder
from theory.support.output import require_folder

OLD, NEW = ["old"] * 3, ["new"] * 3


def killed(how):
    """What ``killed_writes`` finds, where the system has an exchange and where it has none."""
    command = [sys.executable, "-m", "tests.theory.support.killed_writes", how]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def kills():
    return {how: killed(how) for how in ("exchange", "moves")}


def test_a_kill_leaves_all_old_files_or_all_new_ones(kills):
    left = [kill["left"] for kill in kills["exchange"]]
    assert len(left) > 20
    assert OLD in left and NEW in left
    assert all(kill in (OLD, NEW) for kill in left)
    mixed = [kill["left"] for kill in kills["moves"] if kill["left"] not in (OLD, NEW)]
    assert mixed  # the control: moving file by file is seen


def test_where_files_are_moved_the_next_run_finishes(kills):
    assert all(kill["again"] in (OLD, NEW) for kill in kills["moves"])
    mixed = [kill["again"] for kill in kills["moves"] if kill["left"] not in (OLD, NEW)]
    assert mixed == [NEW] * len(mixed)


def test_nothing_is_lost_and_nothing_is_left(kills):
    wanted = sorted(["out", "out/a.txt", "out/b.txt", "out/deep", "out/deep/c.txt", "out/other"])
    for how in kills:
        assert all(kill["everything"] == wanted for kill in kills[how])


def test_the_working_directory_stays_where_a_shell_stands(tmp_path, monkeypatch):
    write(tmp_path, "old")
    monkeypatch.chdir(tmp_path)
    write(Path(), "new")
    assert texts(Path()) == texts(tmp_path) == NEW
    assert Path().stat().st_ino == tmp_path.stat().st_ino
    monkeypatch.chdir("/")
    write(tmp_path, "old")
    assert texts(tmp_path) == OLD


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    write(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "inner").symlink_to("a.txt")
    write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "inner").is_symlink()
    assert texts(tmp_path / "real") == NEW


def test_a_folder_with_much_else_is_written_file_by_file(tmp_path, monkeypatch):
    write(tmp_path, "old")
    inode = tmp_path.stat().st_ino
    monkeypatch.setattr(whole_folder, "MOST_OTHERS", 2)
    write(tmp_path, "new")
    assert (texts(tmp_path), tmp_path.stat().st_ino) == (NEW, inode)


def test_files_that_were_ready_are_moved_before_anything_else(tmp_path):
    write(tmp_path, "old")
    ready = tmp_path / whole_folder.READY
    ready.mkdir()
    (ready / "a.txt").write_text("new")
    require_folder(tmp_path)
    assert texts(tmp_path) == ["new", "old", "old"]
    assert not ready.exists()


def test_a_link_to_what_is_ready_elsewhere_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.txt").write_text("theirs")
    write(tmp_path / "out", "old")
    (tmp_path / "out" / whole_folder.READY).symlink_to(tmp_path / "elsewhere")
    require_folder(tmp_path / "out")
    assert texts(tmp_path / "out") == OLD
    assert (tmp_path / "elsewhere" / "a.txt").read_text() == "theirs"


@pytest.mark.parametrize("answer", [{"renameat2": lambda *_: -1}, {}], ids=["fails", "absent"])
def test_where_no_exchange_is_done_files_are_moved(tmp_path, monkeypatch, answer):
    write(tmp_path, "old")
    inode = tmp_path.stat().st_ino
    system = SimpleNamespace(**answer)
    monkeypatch.setattr(whole_folder.ctypes, "CDLL", lambda *_, **__: system)
    write(tmp_path, "new")
    assert (texts(tmp_path), tmp_path.stat().st_ino) == (NEW, inode)
