"""``quality``: each seed is the one that was asked for, and images serve one end alone."""

import json

import numpy as np
import pytest
import torch

from real.calibrated.fitted_solvers import digest_of
from real.cli import main
from real.commands.quality import _calibrated_with
from real.images.opening import open_images
from real.quality import feature_choice
from real.quality.features import PIXELS
from real.quality.measure import Reference
from tests.refusals import refusal
from theory.calibration import Calibration
from theory.forward.fingerprints import image_ids

SEED, SAMPLES = 7, 6
SHAPE = (1, 8, 8)


def pictures(source):
    return torch.cat(list(source))


@pytest.fixture(scope="module")
def run(tmp_path_factory, digits_calibration):
    """What was written, what features were trained on, and what samples were judged by."""
    out, trained, judged = tmp_path_factory.mktemp("quality"), [], []
    reference_of = Reference.of

    def train(images, seed, device):
        trained.append((pictures(images), seed))
        return PIXELS

    def of(features, images, device):
        judged.append(pictures(images))
        return reference_of(features, images, device)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_choice, "train_features", train)
        patch.setattr(Reference, "of", of)
        main([
            "quality", "digits", "--calibration", str(digits_calibration), "--nfe", "1",
            "--features", "trained", "--samples", str(SAMPLES), "--images", "20",
            "--seed", str(SEED), "--quiet", "--out", str(out),
        ])  # fmt: skip
    return json.loads((out / "quality.json").read_text()), trained, judged


@pytest.mark.parametrize("command", ["quality", "solver-study", "repair-study"])
def test_a_single_image_to_compare_with_is_refused(command, tmp_path, digits_calibration):
    more = ["--calibration", str(digits_calibration)] if command == "quality" else []
    file = tmp_path / "three.npz"
    np.savez(file, images=np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8))
    arguments = [command, "digits", "--data", str(file), "--quiet", "--out", str(tmp_path / "q")]
    with refusal("images: expected at least 2 in each of two parts, to compare with, got 2 and 1"):
        main([*arguments, *more])
    assert list(tmp_path.iterdir()) == [file]


def test_the_seed_that_is_given_is_the_first_of_all_repetitions(run):
    found, trained, _ = run
    assert found["seeds"] == [SEED, SEED + 1, SEED + 2]
    assert [row["seed"] for row in found["rows"][::2]] == found["seeds"]
    assert [seed for _, seed in trained] == [SEED]


def test_settings_are_told_as_they_were_given(run, digits_calibration):
    found, *_ = run
    assert found["settings"] == {
        "calibration": str(digits_calibration), "unconditional": None, "fitted": None, "data": "digits",
        "guidance": 0.0, "solver": "ddim", "nfe": "1", "samples": SAMPLES, "seed": SEED, "seeds": 3,
    }  # fmt: skip
    assert found["digest"] == digest_of(digits_calibration)
    assert (found["samples"], found["images"]) == (SAMPLES, 20)


def test_features_are_trained_on_images_that_judge_nothing(run):
    _, [(known, _)], [judging] = run
    for images, role in ((known, "calibration"), (judging, "held-out")):
        assert torch.equal(images, pictures(open_images("digits", role, SHAPE, limit=20)))
    assert not (known[:, None] == judging).flatten(2).all(2).any()


def test_real_images_are_others_than_those_that_judge(run):
    found, *_ = run
    known, judging = (
        open_images("digits", role, SHAPE, limit=20) for role in ("calibration", "held-out")
    )
    expected = Reference.of(PIXELS, judging, "cpu").of_real(known.spread(SAMPLES), SEED)
    for name in ("frechet", "kid", "kid_lower", "tint"):
        assert found["real_images"][name] == pytest.approx(expected[name], abs=1e-9)


def test_images_that_a_calibration_was_made_from_are_counted(digits_calibration):
    of_both, others = (open_images("digits", role, SHAPE) for role in ("calibration", "held-out"))
    assert _calibrated_with(others, digits_calibration) == 0
    seen = set(Calibration.load(digits_calibration).image_ids.tolist())
    expected = sum(i in seen for i in image_ids(pictures(of_both)).tolist())
    assert _calibrated_with(of_both, digits_calibration) == expected >= 64
