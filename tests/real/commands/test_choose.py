"""``choose``: the candidates, and the files that the others take."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from real.calibrated.candidates import NOTHING, Branches, Candidate, Candidates
from real.calibrated.fitted_solvers import unfitted_solver
from real.cli import main
from real.commands import choose as command
from real.images.opening import open_images
from real.quality import choice
from real.quality.features import PIXELS
from real.quality.trials import Trials
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


@pytest.mark.parametrize(("name", "nfe", "used"), [("ddim", 3, 3), ("heun", 10, 9)])
def test_nothing_is_a_solver_too(few, tmp_path, capsys, monkeypatch, name, nfe, used):
    """Where nothing is certain, the file holds the solver with nothing fitted to it.

    Heun's method takes 9 evaluations of 10, which is said, and does not clip.
    """
    same = choice.Distances(1.0, 1.0)
    monkeypatch.setattr("real.quality.trials.Trials.to_choose", lambda *a: same)
    monkeypatch.setattr("real.quality.trials.Trials.to_decide", lambda *a: same)
    out = tmp_path / "chosen.safetensors"
    own = ["--solver", name, "--quiet", "--out"]
    assert main(["choose", "digits", "--nfe", str(nfe), *own, str(out)]) == 0
    solver = FittedSolver.load(out)
    assert solver.parts == ()
    assert "dpm-multi-2" not in solver.figures["choice"]["tried"]  # --solver names one
    said = capsys.readouterr().out
    assert "not certainly better" in said
    assert ("heun uses an odd number of network evaluations: 9 of 10" in said) == (used < nfe)
    assert f"The file holds {name} at {used} evaluations with nothing fitted to it." in said
    assert list(tmp_path.iterdir()) == [out]
    plain, held = (tmp_path / name for name in ("plain.png", "held.png"))
    sample = ["sample", "digits", "--samples", "4", "--quiet", "--out"]
    assert main([*sample, str(plain), "--nfe", str(used), "--solver", name]) == 0
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


@pytest.fixture
def dealt(tmp_path, monkeypatch):
    """``choose`` on 96 images, with seed 5: what made the ways, what tried them, what features saw."""
    seen = SimpleNamespace(trained=[], plans=[], trials=[])

    def made(plan):
        seen.plans.append(plan)
        for name in (NOTHING, "another"):
            yield name, Candidate(Branches(0.0), unfitted_solver(plan.checkpoint, "ddim", plan.nfe))

    def train(images, seed, device):
        seen.trained.append((pictures(images), seed))
        return PIXELS

    def measured(trials, name, trial):
        seen.trials.append(trials)
        return choice.Distances(1.0, 1.0)

    monkeypatch.setattr(Candidates, "made", made)
    monkeypatch.setattr("real.quality.feature_choice.train_features", train)
    monkeypatch.setattr(Trials, "to_choose", measured)
    monkeypatch.setattr(Trials, "to_decide", measured)
    images = np.random.default_rng(0).integers(0, 256, (96, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=images)
    arguments = ["--data", str(tmp_path / "images.npz"), "--nfe", "3", "--samples", "16"]
    out = ["--seed", "5", "--quiet", "--out", str(tmp_path / "chosen.safetensors")]
    assert main(["choose", "digits", *arguments, *out]) == 0
    whole = pictures(open_images(str(tmp_path / "images.npz"), "calibration", (1, 8, 8)))
    return seen, whole


def pictures(source):
    """Every image as a row."""
    return torch.cat(list(source)).flatten(1)


def test_images_that_decide_had_no_part_in_fitting_or_choosing(dealt):
    """Half are fitted to and train the features, a sixth chooses, a third decides."""
    seen, whole = dealt
    (plan,), trials = seen.plans, seen.trials[0]
    fitted_to, choosing, deciding = (
        pictures(plan.images), trials.choosing.rows, trials.deciding.rows,
    )  # fmt: skip
    assert [len(part) for part in (fitted_to, choosing, deciding)] == [48, 16, 32]
    parts = torch.cat([fitted_to, choosing, deciding])
    assert len(parts.unique(dim=0)) == len(whole.unique(dim=0)) == 96
    assert torch.equal(parts.unique(dim=0), whole.unique(dim=0))
    assert torch.equal(seen.trained[0][0], fitted_to)


def test_features_ways_and_trials_have_the_seed_that_is_given(dealt):
    seen, _ = dealt
    assert [seed for _, seed in seen.trained] == [5]
    assert [plan.seed for plan in seen.plans] == [5]
    assert {trials.seed for trials in seen.trials} == {5}
    assert (seen.plans[0].nfe, seen.trials[0].nfe["another"], seen.trials[0].samples) == (3, 3, 16)
