"""Commands that are killed, alone or under torchrun, and go on; two on one output."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from real.cli import main
from real.running import going_on
from real.running.going_on import WITHOUT_EFFECT
from tests.real.exact import exact_checkpoint
from tests.real.running.kills import content, kills
from tests.refusals import refusal
from theory.calibration import Calibration, kept
from theory.support.errors import InputError, OutputError

ROOT = Path(__file__).parents[3]
SMALL = ["calibrate", "digits", "--images", "64", "--times", "3", "--order", "0", "--quiet"]
LONGER = [
    *SMALL[:2],
    "--images",
    "400",
    "--times",
    "10",
    "--order",
    "0",
    "--batch-size",
    "4",
    "--quiet",
]
SECONDS = 300
LOST = (
    "torchrun: a process of this run was lost or ended; the same command goes on from what was kept"
)


def test_runs_killed_at_random_moments_come_to_the_same_result(tmp_path):
    found = kills([*SMALL[:-1], "--batch-size", "16"], count=3, seed=1, folder=tmp_path)
    assert found["same results"] == 3
    assert not list(tmp_path.glob(".*")), "what was kept goes"


def entered(out: Path, *more: str) -> list[str]:
    """What the folder of a run holds while it is under way."""
    with going_on(out, exact_checkpoint("table"), {"seed": 0, "out": out}, *more) as progress:
        progress.once("result", lambda _: {"value": 1})
        return [path.name for path in out.with_name(f".{out.name}.progress").iterdir()]


def test_two_runs_do_not_write_one_output(tmp_path):
    out = tmp_path / "out"
    with going_on(out, exact_checkpoint("table"), {}), refusal("another run is about to write it"):
        entered(out)
    assert not list(tmp_path.iterdir())


def test_what_is_kept_stays_after_an_interruption_and_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(kept, "SECONDS", 0.0)
    out, checkpoint = tmp_path / "out", exact_checkpoint("table")
    with pytest.raises(KeyboardInterrupt), going_on(out, checkpoint, {"seed": 0}) as progress:
        progress.once("result", lambda _: {"value": 1})
        raise KeyboardInterrupt
    assert (
        ".out.progress keeps how far it came: the same command goes on" in capsys.readouterr().err
    )
    with going_on(out, checkpoint, {"seed": 0, "quiet": True, "device": "cpu"}) as progress:
        assert progress.once("result", lambda _: {"value": 2}) == {"value": 1}
    assert not list(tmp_path.iterdir())


def test_of_nothing_that_is_kept_nothing_is_said(tmp_path, capsys):
    for _ in range(2):
        with (
            pytest.raises(KeyboardInterrupt),
            going_on(tmp_path / "out", exact_checkpoint("table"), {}),
        ):
            raise KeyboardInterrupt
    assert capsys.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("changed", ["option", "network", "more"])
def test_what_other_settings_kept_is_not_used(tmp_path, monkeypatch, changed):
    monkeypatch.setattr(kept, "SECONDS", 0.0)
    out, checkpoint = tmp_path / "out", exact_checkpoint("table")
    with pytest.raises(KeyboardInterrupt), going_on(out, checkpoint, {"seed": 0}) as progress:
        progress.once("result", lambda _: {"value": 1})
        raise KeyboardInterrupt
    options = {"seed": int(changed == "option")}
    if changed == "network":
        checkpoint = type(checkpoint)(**{**vars(checkpoint), "fingerprint": "another"})
    more = ("digest",) if changed == "more" else ()
    with going_on(out, checkpoint, options, *more) as progress:
        assert progress.once("result", lambda _: {"value": 2}) == {"value": 2}


def test_a_run_that_would_fail_again_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "SECONDS", 0.0)
    with (
        refusal("network: no"),
        going_on(tmp_path / "out", exact_checkpoint("table"), {}) as progress,
    ):
        progress.once("result", lambda _: {"value": 1})
        raise InputError("network: no")
    assert not list(tmp_path.iterdir())


def test_a_run_whose_output_cannot_be_written_keeps_what_it_found(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "SECONDS", 0.0)
    out, checkpoint = tmp_path / "out", exact_checkpoint("table")
    with refusal("output: full"), going_on(out, checkpoint, {}) as progress:
        progress.once("result", lambda _: {"value": 1})
        raise OutputError("output: full")
    with going_on(out, checkpoint, {}) as progress:
        assert progress.once("result", lambda _: {"value": 2}) == {"value": 1}


def torchrun(count: int, *arguments: str) -> subprocess.Popen[str]:
    """Processes under torchrun that keep their progress all the time."""
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    program += ["--nproc-per-node", str(count)]
    return subprocess.Popen(
        [*program, "-m", "tests.real.running.impatient", *arguments], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def child_of_rank(parent: int, rank: int) -> int:
    """The process of a rank that torchrun started."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            started_by = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            own = (folder / "environ").read_bytes().split(b"\0")
        except (OSError, IndexError):
            continue
        if started_by == parent and f"RANK={rank}".encode() in own:
            return int(folder.name)
    raise AssertionError("no such process")


def kill_when_something_is_kept(process: subprocess.Popen[str], out: Path, rank: int) -> None:
    folder, end = out.with_name(f".{out.name}.progress"), time.monotonic() + SECONDS
    while len(list(folder.glob("*.safetensors"))) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    os.kill(child_of_rank(process.pid, rank), signal.SIGKILL)


def same(one: Path, other: Path) -> bool:
    """Whether two calibrations are the same to rounding."""
    a, b = Calibration.load(one), Calibration.load(other)
    rounding = {"rtol": 1e-10, "atol": 1e-13}
    return (
        torch.allclose(a.shift, b.shift, **rounding)
        and torch.allclose(a.error_energy, b.error_energy, **rounding)
        and a.total_certificate == pytest.approx(b.total_certificate, rel=1e-9)
        and a.provenance == b.provenance
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "whole.safetensors"
    assert main([*LONGER, "--out", str(out)]) == 0
    return out


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found by /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_lost_process_ends_the_run_with_one_line_and_one_process_goes_on(tmp_path, whole, rank):
    out = tmp_path / "out.safetensors"
    process = torchrun(2, *LONGER, "--out", str(out))
    kill_when_something_is_kept(process, out, rank)
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode != 0
    assert said.count(LOST) == 1, said
    assert not out.exists()
    assert main([*LONGER, "--out", str(out)]) == 0
    assert same(out, whole)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_other_commands_refuse_several_processes(tmp_path, monkeypatch):
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    with refusal("quality: expected one process, torchrun started 2; only calibrate and validate"):
        main(["quality", "--out", str(tmp_path / "q")])
    with refusal("batch-size: expected a number under torchrun, got auto"):
        main([*SMALL, "--batch-size", "auto", "--out", str(tmp_path / "c")])
    with refusal("device: expected cuda or cpu under torchrun, which numbers GPUs, got 'cuda:1'"):
        main([*SMALL, "--device", "cuda:1", "--out", str(tmp_path / "c")])


def test_a_report_has_the_seconds_of_the_work_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(kept.Kept, "due", property(lambda own: own.failed is None))  # at once
    calibration, out = tmp_path / "c.safetensors", tmp_path / "report"
    assert main([*SMALL, "--out", str(calibration)]) == 0
    command = [
        "validate",
        "digits",
        "--calibration",
        str(calibration),
        "--images",
        "40",
        "--samples",
        "2",
    ]
    command += ["--nfe", "3", "--quiet", "--out", str(out)]
    assert main(command) == 0
    with monkeypatch.context() as patch:
        patch.setattr("real.reports.validation.validation_report", killed)
        with pytest.raises(KeyboardInterrupt):
            main([*command[:-1], str(tmp_path / "again")])
    with monkeypatch.context() as patch:
        patch.setattr("real.solvers.sampling.sample", lambda *_, **__: pytest.fail("sampled again"))
        assert main([*command[:-1], str(tmp_path / "again")]) == 0
    assert content(out) == content(tmp_path / "again")


def killed(*_, **__):
    raise KeyboardInterrupt


def test_what_changes_a_result_is_not_among_what_may_change():
    assert not WITHOUT_EFFECT & {
        "dtype",
        "seed",
        "data",
        "images",
        "times",
        "draws",
        "order",
        "range",
    }
