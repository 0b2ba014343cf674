"""What a user may mistype: one line that names it, status 2, nothing written."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from real.checkpoints import load
from real.cli import main
from real.commands import listing
from real.commands.loading import on_device
from real.running import memory, require_memory
from theory.support.command_line import run
from theory.support.errors import InputError

LONG = "n" * 300
SMALL = ["--images", "20", "--quiet"]

BAD = {
    "long output": (["calibrate", "--out", LONG, *SMALL], "file name too long"),
    "long folder": (["validate", "--calibration", "c", "--out", LONG], "file name too long"),
    "long checkpoint": (["sample", "x" * 5000, "--out", "o"], "expected 'digits', a name that"),
    "long own": (["sample", "x" * 5000 + ".py:y", "--out", "o"], "file name too long"),
    "long data": (["calibrate", "--data", "x" * 5000, "--out", "o"], "which does not exist"),
    "no data": (["calibrate", "--data", "no.npz", "--out", "o"], "'no.npz', which does not exist"),
    "long calibration": (["sample", "--calibration", LONG, "--out", "o"], "file name too long"),
    "many samples": (["sample", "--samples", "1000000000000", "--out", "o"], "samples of shape"),
    "digits of draws": (["calibrate", "--draws", "9" * 30, "--out", "o"], "whole number up to"),
    "many draws": (
        ["calibrate", "--draws", "1000000000", "--at", "500", "--out", "o", *SMALL],
        "20000000000 draws of shape",
    ),
    "range": (["calibrate", "--range", "5,1", "--out", "c"], "LOW below HIGH, got '5,1'"),
    "few starts": (["fit-solver", "--nfe", "3", "--starts", "1", "--out", "f"], "at least 16 starts"),
    "few fresh": (["fit-solver", "--nfe", "3", "--fresh", "8", "--out", "f"], "at least 16 starts"),
    "name of a file": (["calibrate", "--out", "c.png"], "a file name with .safetensors, got 'c.png'"),
    "name of a page": (["fit-solver", "--nfe", "3", "--out", "f", "--report", "f.png"], "with .html"),
    "name of a folder": (["validate", "--calibration", "c", "--out", "r.html"], "name of a folder"),
    "times and at": (["calibrate", "--times", "50", "--at", "5", "--out", "o"], "not allowed with"),
    "times and for": (
        ["calibrate", "--times", "9", "--for", "ddim:9", "--out", "o"], "not allowed with",
    ),
    "many times": (["calibrate", "--times", "1000000", "--out", "o", *SMALL], "has 1000 of them"),
    "time far off": (["calibrate", "--at", "1e30", "--out", "o", *SMALL], "got 1e+30"),
    "budget": (
        ["calibrate", "--budget", "7", "--at", "5,500", "--out", "o", *SMALL],
        "expected at least 8 evaluations for 2 times",
    ),
    "null": (["calibrate", "--condition", "null", "--out", "o", *SMALL], "no null condition"),
    "unconditional": (["sample", "--unconditional", "u", "--out", "o"], "expected --guidance"),
    "device": (["calibrate", "--device", "foo", "--out", "o"], "device: expected one of auto, cpu"),
    "numbers": (["calibrate", "--at", "9,x", "--out", "o"], "numbers with commas between, got '9,x'"),
    "cpu of many": (["sample", "--device", "cpu:5", "--out", "o"], "got 'cpu:5'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_one_line_status_two_and_no_output(monkeypatch, capsys, tmp_path, name):
    arguments, message = BAD[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["real", *arguments])
    with pytest.raises(SystemExit) as caught:
        run("python -m real", main)
    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert message in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "device",
    ["meta", "hpu", "privateuseone", "mkldnn", "cpu:5", "", "gpu", "xla", "mtia", "vulkan", "ve"],
)
def test_devices_that_cannot_compute_are_refused(recwarn, device):
    with pytest.raises(InputError, match=f"usable device, got '{device}'"):
        on_device(device)
    assert not recwarn.list


def test_the_processor_has_two_names():
    assert on_device("cpu").type == on_device("cpu:0").type == "cpu"


def test_what_fits_into_memory_is_let_through(monkeypatch):
    monkeypatch.setattr(memory, "physical_memory", lambda: 24.0 * 100 * 64)
    require_memory("samples", 100, (1, 8, 8))
    with pytest.raises(InputError, match=r"101 samples of shape \(1, 8, 8\)"):
        require_memory("samples", 101, (1, 8, 8))
    monkeypatch.setattr(memory, "physical_memory", lambda: 5e9)
    with pytest.raises(InputError, match=r"take about 6 GB, there are 5$"):
        require_memory("draws", 10**6, (1, 25, 10))
    monkeypatch.undo()
    assert 2**28 < memory.physical_memory() <= math.inf


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory.\nTried"), MemoryError()]
)
def test_out_of_memory_anywhere_is_one_line(monkeypatch, error):
    def failing(options):
        raise error

    monkeypatch.setattr(listing, "run", failing)
    with pytest.raises(InputError, match="memory: this takes more than there is"):
        main(["list"])


def test_other_errors_are_not_taken_for_it(monkeypatch):
    def failing(options):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(listing, "run", failing)
    with pytest.raises(RuntimeError, match="shapes differ"):
        main(["list"])


LEAVING = """
import sys
from theory.schedules import RectifiedFlow
from theory.targets import FLOW

def factory():
    sys.exit(3)

def network(x_t, t):
    sys.exit(3)

leaves = network, RectifiedFlow(), FLOW, (3, 8, 8)
"""


def test_own_code_that_would_end_the_program_is_refused(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(LEAVING)
    with pytest.raises(InputError, match=r"factory\(\) fails: SystemExit: 3"):
        load(f"{file}:factory")
    with pytest.raises(InputError, match=r"fails at mine.py:\d+, .*: SystemExit: 3"):
        load(f"{file}:leaves").predict(torch.zeros(1, 3, 8, 8), torch.zeros(1))


def test_the_least_budget_is_enough(tmp_path, capsys):
    out = tmp_path / "c.safetensors"
    main(["calibrate", "--budget", "8", "--at", "5,500", "--out", str(out), *SMALL])
    assert "8 network evaluations" in capsys.readouterr().out


@pytest.mark.parametrize(("count", "few"), [("2", True), ("16", False)])
def test_intervals_from_few_images_come_with_a_caution(
    tmp_path, capsys, digits_calibration, count, few
):
    arguments = ["--calibration", str(digits_calibration), "--images", count, "--quiet"]
    main([
        "validate", *arguments, "--nfe", "2", "--samples", "2", "--out", str(tmp_path / "report"),
    ])  # fmt: skip
    caution = "caution: 2 held-out images are few"
    assert (caution in capsys.readouterr().out) == few
    assert (caution in (tmp_path / "report" / "report.html").read_text()) == few


def test_distances_from_fewer_images_than_features_come_with_a_caution(
    tmp_path, capsys, digits_calibration
):
    arguments = ["quality", "--calibration", str(digits_calibration), "--features", "pixels"]
    arguments += ["--nfe", "2", "--samples", "66", "--quiet", "--out", str(tmp_path)]
    for images in ("3", "66"):
        main([*arguments, "--images", images])
        said = capsys.readouterr().out
        assert ("caution: 3 images are few; what is said of fewer than 65" in said) == (
            images == "3"
        )
        assert "caution: 66" not in said


def test_a_picture_is_written_all_the_same(tmp_path):
    """The control: with nothing mistyped the same command works."""
    out = tmp_path / "o.png"
    main([
        "sample", "--samples", "4", "--nfe", "2", "--device", "cpu:0", "--quiet", "--out", str(out),
    ])  # fmt: skip
    assert np.asarray(Image.open(out)).ndim == 2
