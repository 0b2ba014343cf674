"""Processes that torchrun starts share the passes; how many they are changes results by rounding alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.theory.calibration.shared_run import CASES, run
from tests.theory.calibration.test_progress import apart
from theory.calibration import Calibration
from theory.forward.share import Share
from theory.support.workers import Workers, joined

ROOT = Path(__file__).parents[3]
ROUNDING = 1e-11


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    run(folder)
    return folder


def started(count: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*torchrun, "--nproc-per-node", str(count), "-m", *arguments], cwd=ROOT, text=True,
        capture_output=True, check=False, timeout=600,
    )  # fmt: skip


@pytest.mark.parametrize("count", [2, 4])
def test_the_number_of_processes_does_not_change_the_result(tmp_path, alone, count):
    done = started(count, "tests.theory.calibration.shared_run", str(tmp_path))
    assert done.returncode == 0, done.stderr
    for way, batch_size in CASES:
        name = f"{way} {batch_size}.safetensors"
        one, other = (Calibration.load(folder / name) for folder in (alone, tmp_path))
        assert apart(one, other) < ROUNDING, name
        assert one.choices == other.choices
        assert one.provenance == other.provenance
        assert torch.allclose(one.error_energy, other.error_energy, rtol=ROUNDING)
        assert [c.images for c in one.line_check] == [c.images for c in other.line_check]
    one, other = (json.loads((f / "validation.json").read_text()) for f in (alone, tmp_path))
    losses = [torch.tensor(numbers["losses"], dtype=torch.float64) for numbers in (one, other)]
    assert torch.allclose(*losses, rtol=ROUNDING)
    assert one["gain"] == pytest.approx(other["gain"], rel=ROUNDING)
    assert other["rank"] == 0, "the first process's result counts"


def test_shares_are_all_calls_and_each_once():
    calls = list(range(11))
    for count in (1, 2, 3, 20):
        shares = [list(Share(None, rank, count).of(calls)) for rank in range(count)]
        assert sorted(call for share in shares for call in share) == calls
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_process_is_numbered_among_all_machines(monkeypatch):
    """The second of four on the second of two machines."""
    for name, value in {
        "RANK": 5, "WORLD_SIZE": 8, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 4, "TORCHELASTIC_RUN_ID": "x",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("torch.distributed.init_process_group", lambda *_: None)
    monkeypatch.setattr("torch.distributed.destroy_process_group", lambda: None)
    with joined() as workers:
        assert workers == Workers(5, 8)
