"""Ctrl-C: status 130, nothing said, nothing half-written."""

import os
import signal
import subprocess
import sys
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
    """The program in a group of its own that hears interruptions, as a terminal has it."""
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=folder, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def read_until(stream, wanted):
    """Read until its progress bar shows; then the work is under way."""
    said, deadline = "", time.monotonic() + SECONDS
    while wanted not in said and time.monotonic() < deadline:
        letter = stream.read(1)
        if not letter:
            break
        said += letter
    return said


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="groups of processes are POSIX's")
@pytest.mark.parametrize("name", LONG)
def test_an_interruption_leaves_status_130_and_nothing_else(tmp_path, name):
    process = started(tmp_path, LONG[name])
    try:
        said = read_until(process.stderr, "%|")
        assert "%|" in said
        os.killpg(process.pid, signal.SIGINT)
        _, rest = process.communicate(timeout=SECONDS)
    finally:
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
