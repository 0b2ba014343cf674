"""Memory that is freed is kept for the next call, until it is given back."""

import ctypes
import json
import subprocess
import sys

import pytest

from real import __main__ as program

pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc, which this is about"
)

TURNS, SIZE = 10, 64 * 2**20
MEASURE = f"""
import json, resource, sys
import numpy as np
from pathlib import Path
from theory.support.allocator import keep_freed_memory, release_memory

def resident():
    return 4096 * int(Path("/proc/self/statm").read_text().split()[1])

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def turn():
    np.empty({SIZE}, np.uint8).fill(1)

if "keep" in sys.argv:
    keep_freed_memory()
turn()
before = faults()
for _ in range({TURNS}):
    turn()
made, kept = faults() - before, resident()
release_memory()
print(json.dumps({{"faults": made, "released": kept - resident()}}))
"""


def measured(*arguments):
    """Page faults of the turns after the first, and what was given back after them."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_pages_are_made_once_and_can_be_given_back():
    found = measured("keep")
    assert found["faults"] < 100
    assert found["released"] > 0.9 * SIZE


def test_without_it_every_turn_makes_its_pages_anew():
    found = measured()
    assert found["faults"] >= TURNS * 20
    assert found["released"] < 0.1 * SIZE


def test_the_program_of_real_networks_keeps_it(monkeypatch):
    done = []
    monkeypatch.setattr(program, "keep_freed_memory", lambda: done.append("kept"))
    monkeypatch.setattr(program, "run", lambda name, main: done.append(name))
    program.program()
    assert done == ["kept", "python -m real"]
