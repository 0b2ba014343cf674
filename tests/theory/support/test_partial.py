"""Folders of what is being written: gone at the end, gone at the next run, never another run's."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from theory.support.partial import partial_folder, remove_leftovers

HOLDING = """
import sys, time
from pathlib import Path
from theory.support.partial import partial_folder
with partial_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another run that is writing into the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def test_leftovers_of_a_killed_run_go_and_those_of_a_living_one_stay(tmp_path, holder):
    (left,) = tmp_path.iterdir()
    remove_leftovers(tmp_path)
    assert (left / "half").exists()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (left / "half").exists()
    with partial_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert not list(tmp_path.iterdir())


def test_what_is_no_leftover_stays(tmp_path):
    kept = [tmp_path / name for name in (".partial-x", ".partial-longer_name", "partial-abcdefgh")]
    for folder in kept:
        folder.mkdir()
    (tmp_path / ".partial-afile123").write_text("a file")
    (tmp_path / ".partial-alink123").symlink_to(kept[0])
    (tmp_path / ".partial-abcd_123").mkdir()
    remove_leftovers(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {p.name for p in kept} | {".partial-afile123", ".partial-alink123"}


def test_a_folder_that_was_made_for_nothing_goes(tmp_path):
    with partial_folder(tmp_path / "a" / "b"):
        pass
    assert not list(tmp_path.iterdir())
    with partial_folder(tmp_path / "a" / "b") as folder:
        (folder.parent / "kept").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["kept"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted by /proc")
def test_no_descriptor_is_kept(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with partial_folder(tmp_path):
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_where_there_are_no_locks_nothing_is_taken_for_a_leftover(tmp_path, monkeypatch):
    def without_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", without_locks)
    with partial_folder(tmp_path) as folder:
        remove_leftovers(tmp_path)
        assert folder.exists()
    assert not list(tmp_path.iterdir())
