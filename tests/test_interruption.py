"""Ctrl-C: status 130, nothing said, nothing half-written."""

import os
import select
import signal
import subprocess
import sys
import termios
import time
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONG = {
    "calibrate": ["real", "calibrate", "digits", "--draws", "400", "--out", "c.safetensors"],
    "sample": ["real", "sample", "--nfe", "999", "--samples", "256", "--out", "s.png"],
    "verify": ["toy", "verify", "--examples", "300", "--jobs", "2", "--json", "v.json"],
}
SECONDS = 120


def started(folder, arguments):
    """The program in a group of its own that hears interruptions, as a terminal has it.

    Returns:
        The process, and what reads from the terminal that it writes its progress to.
    """
    ours, its = os.openpty()
    termios.tcsetwinsize(its, (24, 80))  # without a width no bar is shown
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=folder, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=its,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    os.close(its)
    return process, ours


def read_until(terminal, wanted):
    """Read until its progress bar shows, for then the work is under way; or all, if it never does."""
    said, deadline = "", time.monotonic() + SECONDS
    while wanted not in said and time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        try:
            said += os.read(terminal, 1024).decode(errors="replace")
        except OSError:  # nobody writes to it any more
            break
    return said


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="groups of processes are POSIX's")
@pytest.mark.parametrize("name", LONG)
def test_an_interruption_leaves_status_130_and_nothing_else(tmp_path, name):
    process, terminal = started(tmp_path, LONG[name])
    try:
        said = read_until(terminal, "%|")
        assert "%|" in said
        os.killpg(process.pid, signal.SIGINT)
        rest = read_until(terminal, "no such words")
        process.communicate(timeout=SECONDS)
    finally:
        os.close(terminal)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in said + rest
    assert "KeyboardInterrupt" not in said + rest
    assert {path.name for path in tmp_path.iterdir()} <= {".hypothesis"}  # its own notes


@pytest.mark.parametrize("program", ["real", "toy"])
def test_libraries_are_loaded_where_an_interruption_is_expected(program):
    code = f"import sys, {program}.__main__; sys.exit('torch' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=SECONDS)
    assert loaded.returncode == 0
