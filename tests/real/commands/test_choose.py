"""``choose``: the candidates, and the files that the others take."""

import json

import numpy as np
import pytest
from PIL import Image

from real.cli import main
from real.commands import choose as command
from real.quality import choice
from tests.refusals import refusal
from theory.calibration import Calibration
from theory.sampling.fitted import FittedSolver


@pytest.fixture
def few(monkeypatch):
    """Short rounds."""
    monkeypatch.setattr(choice, "ROUNDS", (1, 2))
    monkeypatch.setattr("real.calibrated.candidates.SPREAD", 4)
    monkeypatch.setattr("real.calibrated.candidates.MOST_IMAGES", 64)


def test_what_is_chosen_can_be_used(few, tmp_path, capsys):
    out = tmp_path / "chosen.safetensors"
    assert main(["choose", "digits", "--nfe", "4", "--quiet", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    solver = FittedSolver.load(out)
    found = solver.figures["choice"]
    assert {"nothing", "dpm-multi-2", "unipc", "start", "trajectory", "marginals"} < set(
        found["tried"]
    )
    assert found["chosen"] != "nothing"  # at 4 evaluations much is to be gained
    assert f"Chosen: {found['chosen']}" in said
    assert found["kernel"]["fall"]["lower"] > 0 < found["frechet"]["fall"]["lower"]
    files = ["--fitted", str(out)]
    if (beside := tmp_path / "chosen.calibration.safetensors").exists():
        assert Calibration.load(beside).provenance["checkpoint"] == "digits"
        files += ["--calibration", str(beside)]
    sample = ["sample", "digits", "--samples", "4", "--quiet", "--out", str(tmp_path / "s.png")]
    assert main([*sample, *files]) == 0
    quality = ["quality", "digits", "--samples", "100", "--quiet", "--out", str(tmp_path / "q")]
    assert main([*quality, *files]) == 0
    (row,) = json.loads((tmp_path / "q" / "quality.json").read_text())["over_seeds"]
    assert row["frechet"]["change"]["value"] < 0


def test_nothing_is_a_solver_too(few, tmp_path, capsys, monkeypatch):
    """Where nothing is certain, the file holds the solver with nothing fitted to it."""
    same = choice.Distances(1.0, 1.0)
    monkeypatch.setattr("real.quality.trials.Trials.to_choose", lambda *a: same)
    monkeypatch.setattr("real.quality.trials.Trials.to_decide", lambda *a: same)
    out = tmp_path / "chosen.safetensors"
    arguments = ["choose", "digits", "--nfe", "3", "--solver", "ddim", "--quiet", "--out", str(out)]
    assert main(arguments) == 0
    solver = FittedSolver.load(out)
    assert solver.parts == ()
    assert "dpm-multi-2" not in solver.figures["choice"]["tried"]  # --solver names one
    assert "not certainly better" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [out]
    plain, held = (tmp_path / name for name in ("plain.png", "held.png"))
    sample = ["sample", "digits", "--samples", "4", "--quiet", "--out"]
    assert main([*sample, str(plain), "--nfe", "3"]) == 0
    assert main([*sample, str(held), "--fitted", str(out)]) == 0
    levels = [np.asarray(Image.open(path)).astype(int) for path in (plain, held)]
    assert abs(levels[0] - levels[1]).max() <= 1  # of 255; rounding


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (["--images", "10"], f"expected {command.LEAST_IMAGES} images at least, got 20"),
        (["--samples", "1"], f"samples: expected {command.LEAST_SAMPLES} at least, got 1"),
        (["--solver", "ddpm"], "expected one without noise of its own"),
        (["--features", "nose"], "features: expected one of"),
    ],
)
def test_what_cannot_be_chosen_from_is_refused(tmp_path, more, match):
    out = tmp_path / "c.safetensors"
    with refusal(match):
        main(["choose", "digits", "--nfe", "3", "--quiet", "--out", str(out), *more])
    assert list(tmp_path.iterdir()) == []
