"""What goes wrong around a run: the disk, its folder, its inputs, memory, signals. One line, status 2."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import SafetensorError

from real.cli import main
from tests.refusals import refusal
from tests.source_code import require_none, sources
from tests.test_forbidden_code import full_names
from tests.test_interruption import ROOT, SECONDS, read_until, started
from theory.calibration.result import Calibration
from theory.support.command_line import run

SMALL = ["--images", "32", "--quiet"]
QUICK = ["calibrate", "--at", "500", *SMALL, "--out"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 16 kilobytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("command", ["calibrate", "validate"])
def test_a_full_disk_is_one_line_and_loses_nothing(
    small_disk, tmp_path, monkeypatch, digits_calibration, command
):
    out = small_disk / "out"
    (small_disk / "old").write_bytes(bytes(8192))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    more = {
        "calibrate": ["--at", "100,500,900"],
        "validate": ["--calibration", str(digits_calibration), "--nfe", "1", "--samples", "4"],
    }
    with refusal(f"output: cannot write {out}: No space left on device; it is kept as"):
        main([command, *more[command], *SMALL, "--out", str(out)])
    assert [path.name for path in small_disk.iterdir()] == ["old"]
    (kept,) = (tmp_path / "temporary").glob("*/out")
    if command == "validate":
        assert {"report.html", "report.json"} <= {path.name for path in kept.iterdir()}
    else:
        assert len(Calibration.load(kept).times) == 3


def test_a_disk_that_fills_while_the_library_writes(tmp_path, monkeypatch):
    """As above where nothing can be mounted."""

    def save_file(tensors, path, metadata):
        if Path(path).is_relative_to(tmp_path / "full"):
            Path(path).write_text("half")
            raise SafetensorError("Error: I/O error: No space left on device (os error 28)")
        Path(path).write_text("whole")

    monkeypatch.setattr("theory.support.stored.save_file", save_file)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    with refusal("No space left on device; it is kept as"):
        main([*QUICK, str(tmp_path / "full" / "c")])
    assert not (tmp_path / "full").exists()
    (kept,) = (tmp_path / "temporary").rglob("c")
    assert kept.read_text() == "whole"


@pytest.mark.parametrize("arguments", [["list"], ["--version"]])
def test_output_to_a_full_device_is_one_line(arguments):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with Path("/dev/full").open("w") as full:
        listing = subprocess.run(
            [sys.executable, "-m", "real", *arguments], cwd=ROOT, stdout=full, stderr=subprocess.PIPE,
            text=True, check=False, timeout=SECONDS, env=os.environ | {"PYTHONUNBUFFERED": ""},
        )  # fmt: skip
    assert listing.returncode == 2
    assert listing.stderr == "python -m real: input or output: No space left on device\n"


AS_ANOTHER = """
import os, sys
from pathlib import Path
from theory.support.command_line import run
from theory.support.output import require_file
if os.getuid() == 0:
    os.setuid(65534)
run("program", lambda arguments: require_file(Path(arguments[0])))
"""


def test_a_folder_that_may_not_be_written(tmp_path):
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    (tmp_path / "out").mkdir(mode=0o555)
    (tmp_path / "closed").mkdir(mode=0o000)
    for out in ("out/c", "closed/c", "closed/deep/c"):
        ran = subprocess.run(
            [sys.executable, "-c", AS_ANOTHER, tmp_path / out], capture_output=True,
            text=True, check=False, cwd=ROOT, timeout=SECONDS,
        )  # fmt: skip
        assert (ran.returncode, ran.stderr.count("\n")) == (2, 1), ran.stderr
        assert f"output: cannot write {tmp_path / out}: Permission denied" in ran.stderr
    assert not list((tmp_path / "out").iterdir())


def pictures(folder):
    """Eight pictures, the sixth of them cut short."""
    folder.mkdir()
    for k in range(8):
        pixels = np.random.default_rng(k).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
    broken = folder / "5.png"
    broken.write_bytes(broken.read_bytes()[:60])


def test_a_corrupt_image_is_named_and_nothing_is_written(tmp_path):
    pictures(tmp_path / "data")
    arguments = ["calibrate", "--at", "500", "--quiet", "--data", str(tmp_path / "data")]
    with refusal("5.png cannot be read as an image"):
        main([*arguments, "--out", str(tmp_path / "c")])
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    (tmp_path / "data" / "5.png").unlink()
    main([*arguments, "--out", str(tmp_path / "c")])
    assert (tmp_path / "c").is_file()


OWN = """
import torch
from theory.diffusion.schedules import VPCosine
from theory.diffusion.targets import NOISE

calls = 0

def predict(x_t, t):
    global calls
    calls += 1
    if calls >= 3:
        {fault}
    return x_t

schedule = VPCosine()
net = predict, schedule, NOISE, (1, 8, 8)
"""


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("return x_t * torch.nan", "network: NaN or infinity in the prediction at t="),
        ("raise torch.OutOfMemoryError('out of memory')", "memory: expected room for one image"),
        ("raise MemoryError", "memory: expected room for one image"),
        ("raise OSError(5, 'Input/output error')", "own.py:12"),
    ],
)
def test_a_network_that_fails_in_the_middle(tmp_path, monkeypatch, capsys, fault, message):
    own, out = tmp_path / "own.py", tmp_path / "c"
    own.write_text(OWN.format(fault=fault))
    arguments = ["calibrate", f"{own}:net", "--at", "0.25,0.5", "--batch-size", "8", *SMALL]
    monkeypatch.setattr("sys.argv", ["real", *arguments, "--out", str(out)])
    with pytest.raises(SystemExit) as left:
        run("python -m real", main)
    said = capsys.readouterr().err
    assert (left.value.code, said.count("\n")) == (2, 1)
    assert message in said
    assert {path.name for path in tmp_path.iterdir()} <= {"own.py", "__pycache__"}
    own.write_text(OWN.format(fault="pass"))
    main([*arguments, "--out", str(out)])
    assert out.is_file()


def test_a_request_to_end_ends_the_run_without_a_word(tmp_path):
    process, terminal = started(tmp_path, ["real", "calibrate", "--draws", "400", "--out", "c"])
    try:
        assert "%|" in read_until(terminal, "%|")
        process.terminate()
        rest = read_until(terminal, "no such words")
        process.communicate(timeout=SECONDS)
    finally:
        os.close(terminal)
        process.kill()
    assert process.returncode == 143
    assert "Traceback" not in rest
    assert not list(tmp_path.iterdir())


def test_an_output_that_is_an_input_is_refused_before_any_work(tmp_path, digits_calibration):
    pictures(tmp_path / "data")
    (tmp_path / "groups").write_text("a\n" * 8)
    own, link = tmp_path / "own.py", tmp_path / "link.safetensors"
    own.write_text(OWN)
    link.symlink_to(own)
    given, stats = str(digits_calibration), str(tmp_path / "stats.png")
    Path(stats).write_text("")
    data, groups = str(tmp_path / "data"), str(tmp_path / "groups")
    for arguments in (
        ["fit-solver", "--nfe", "4", "--calibration", given, "--out", given],
        ["calibrate", f"{own}:net", "--out", str(link)],
        ["calibrate", "--groups", groups, "--out", groups],
        ["calibrate", "--groups", f"{groups}:column", "--out", groups],
        ["validate", "--calibration", given, "--data", data, "--out", data],
        ["audit", stats, "--images", "5", "--dim", "5", "--out", stats],
    ):
        with refusal("output: expected another place than the input", arguments):
            main(arguments)
    assert own.read_text() == OWN


CLOCKS = ("time.time", "time.time_ns", "datetime.now", "datetime.datetime.now")
"""Clocks that can be set back while a run goes on."""


def test_no_module_reads_a_clock_that_can_be_set_back():
    def read(text):
        known = set(full_names(__import__("ast").parse(text)).values())
        return sorted({clock for clock in CLOCKS if clock in text or clock in known})

    assert read("from time import time") == ["time.time"]
    assert read("import time\nstart = time.time()") == ["time.time"]
    assert read("import time\nstart = time.perf_counter()") == []
    require_none({name: read(text) for name, text in sources().items()})
