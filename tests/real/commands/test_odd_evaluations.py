"""Heun's method takes an odd number of evaluations: what it uses of an even one is said in a line."""

import json

import pytest

from real.cli import main

SAID = "heun uses an odd number of network evaluations: {} of {}"
HEUN = ["--solver", "heun", "--quiet"]


@pytest.mark.parametrize(("nfe", "used"), [(2, 1), (3, 3)])
def test_sample_says_so(tmp_path, capsys, nfe, used):
    arguments = ["sample", "digits", "--nfe", str(nfe), "--samples", "1", *HEUN]
    assert main([*arguments, "--out", str(tmp_path / "s.png")]) == 0
    said = capsys.readouterr().out
    assert (SAID.format(used, nfe) in said) == (used < nfe)
    assert (
        f"heun: {used} network evaluation{'s' if used > 1 else ''} per sample, 1 sample in" in said
    )


@pytest.mark.parametrize(("nfe", "used"), [(2, 1), (3, 3)])
def test_validate_says_so(tmp_path, capsys, digits_calibration, nfe, used):
    out, made = tmp_path / "r", ["--calibration", str(digits_calibration), "--images", "16"]
    arguments = ["validate", "digits", *made, "--nfe", str(nfe), "--samples", "1", *HEUN]
    assert main([*arguments, "--out", str(out)]) == 0
    assert (SAID.format(used, nfe) in capsys.readouterr().out) == (used < nfe)
    assert (SAID.format(used, nfe) in (out / "report.html").read_text()) == (used < nfe)
    settings = json.loads((out / "report.json").read_text())["settings"]
    assert (settings["solver"], settings["nfe"], settings["samples"]) == ("heun", used, 1)


@pytest.mark.parametrize(("nfe", "used"), [(2, 1), (3, 3)])
def test_fit_solver_says_so(tmp_path, capsys, nfe, used):
    few = ["--starts", "16", "--fresh", "16", "--parts", "trajectory"]
    arguments = ["fit-solver", "digits", "--nfe", str(nfe), *few, *HEUN]
    out, page = tmp_path / "f.safetensors", tmp_path / "f.html"
    assert main([*arguments, "--out", str(out), "--report", str(page)]) == 0
    assert (SAID.format(used, nfe) in capsys.readouterr().out) == (used < nfe)
    assert (SAID.format(used, nfe) in page.read_text()) == (used < nfe)


@pytest.mark.parametrize(("nfe", "used"), [((2, 3), [1, 3]), ((3,), [3]), ((3, 4), [3])])
def test_quality_says_so_and_counts_each_number_once(
    tmp_path, capsys, digits_calibration, nfe, used
):
    """A number that came twice would count every seed twice."""
    out, made = tmp_path / "q", ["--calibration", str(digits_calibration), "--samples", "8"]
    asked = ["--nfe", ",".join(map(str, nfe)), *HEUN, "--out", str(out)]
    assert main(["quality", "digits", *made, *asked]) == 0
    said = capsys.readouterr().out
    assert [SAID.format(n - 1, n) in said for n in nfe] == [n % 2 == 0 for n in nfe]
    found = json.loads((out / "quality.json").read_text())
    assert [row["nfe"] for row in found["over_seeds"]] == used
    assert len(found["rows"]) == 2 * 3 * len(used)


@pytest.mark.parametrize(("nfe", "used"), [(2, 1), (3, 3)])
def test_compare_says_so(tmp_path, capsys, nfe, used):
    out, few = tmp_path / "c", ["--images", "32", "--times", "2", "--samples", "8"]
    arguments = ["compare", "digits", "digits", *few, "--nfe", str(nfe), *HEUN]
    assert main([*arguments, "--out", str(out)]) == 0
    assert (SAID.format(used, nfe) in capsys.readouterr().out) == (used < nfe)
