"""What the report of a fit offers to copy runs, with all that the solver was fitted with."""

import html
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from real.checkpoints import load
from real.cli import main
from real.commands import sample as command
from real.reports.origin import fitted_section
from tests.real import tiny_pipelines

FEW = ["--starts", "16", "--fresh", "16", "--parts", "trajectory", "--solver", "ddim", "--nfe", "2"]
OWN = """
from real import load
digits = load("digits")
mine = digits.predict, digits.schedule, digits.target, digits.shape
"""


def calibrated(network, out, *more):
    arguments = ["calibrate", network, "--at", "300,900", "--images", "20", "--quiet", *more]
    assert main([*arguments, "--out", out]) == 0


def offered(network, *more):
    """The lines of the page of a fit."""
    arguments = ["fit-solver", network, *FEW, *more, "--quiet", "--out", "f.safetensors"]
    assert main([*arguments, "--report", "f.html"]) == 0
    page = Path("f.html").read_text().partition("<h2>To use it</h2>")[2]
    return html.unescape(re.search("<code>(.*?)</code>", page, re.DOTALL)[1]).splitlines()


def sampled(line):
    """Whether the command draws its picture."""
    words = shlex.split(line)
    assert words[:4] == ["python", "-m", "real", "sample"]
    return main([*words[3:], "--samples", "2", "--quiet"]) == 0 and Path("samples.png").exists()


def test_a_solver_that_was_fitted_with_a_calibration_is_offered_with_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calibrated("digits", "c.safetensors")
    (line,) = offered("digits", "--calibration", "c.safetensors", "--range=-1,1")
    assert "--calibration c.safetensors" in line and "--range=-1,1" in line
    assert sampled(line)


def test_no_pipeline_is_offered_for_a_network_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN)
    (line,) = offered("own.py:mine")
    assert sampled(line)


@pytest.mark.parametrize("with_calibration", [False, True])
def test_the_lines_for_a_pipeline_run(tmp_path, monkeypatch, with_calibration):
    monkeypatch.chdir(tmp_path)
    tiny_pipelines.save("ddpm", tmp_path / "net")
    more = []
    if with_calibration:
        images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
        np.savez("images.npz", images=images)
        calibrated("net", "c.safetensors", "--data", "images.npz")
        more = ["--calibration", "c.safetensors"]
    line, _, *python = offered("net", *more)
    assert sampled(line)
    names = {}
    exec("\n".join(python), names)
    assert type(names["pipe"].scheduler).__name__ == "FittedScheduler"
    assert ("attach" in names) == with_calibration


def test_guidance_its_calibrations_and_the_condition_are_offered(monkeypatch):
    seen, (joint, null) = [], (Path("c.safetensors"), Path("u.safetensors"))
    asked = {"guidance": 1.5, "condition": "a cat", "family": None}
    code = fitted_section(load("digits"), Path("f.safetensors"), asked, (joint, null)).code
    monkeypatch.setattr(command, "run", lambda options: seen.append(options))
    assert main(shlex.split(code)[3:]) == 0
    (options,) = seen
    assert (options.guidance, options.condition) == (1.5, "a cat")
    assert (options.calibration, options.unconditional) == (joint, null)
    assert options.fitted == Path("f.safetensors")
