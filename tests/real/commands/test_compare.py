"""``python -m real compare``: verdict, numbers and figure; from either side; what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from real.calibrated.comparison import require_comparable, same_weights
from real.checkpoints.reloading import damaged
from real.cli import main
from real.compress import Damage
from real.compress.repaired_folder import save_repaired
from real.families.checkpoint import Codec
from tests.real.conftest import save_pipeline
from tests.refusals import refusal

FEW = ["--images", "40", "--times", "4", "--quiet"]

OWN = """
from real import load
from theory.schedules import VPCosine
from theory.targets import VELOCITY

digits = load("digits")

def never(x_t, t):
    raise RuntimeError("a network was run before the refusal")

velocity = never, digits.schedule, VELOCITY, digits.shape
cosine = never, VPCosine(), digits.target, digits.shape
classes = never, digits.schedule, digits.target, digits.shape, 10
plain = never, digits.schedule, digits.target, digits.shape

class biased:
    schedule, target, shape = digits.schedule, digits.target, digits.shape

    @staticmethod
    def predict(x_t, t):
        return digits.predict(x_t, t) + 0.125

class same(biased):
    predict = staticmethod(digits.predict)
"""


@pytest.fixture(scope="module")
def quantized(tmp_path_factory, digits_checkpoint):
    path, damage = tmp_path_factory.mktemp("int4"), Damage("int4")
    save_repaired(path, digits_checkpoint, damage, damaged(digits_checkpoint, damage))
    return str(path)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "own.py"
    path.write_text(OWN)
    return str(path)


def compared(out, capsys, *arguments):
    """What is written and what is said."""
    assert main(["compare", *arguments, *FEW, "--out", str(out)]) == 0
    return json.loads((out / "compare.json").read_text()), capsys.readouterr().out.splitlines()


def ends(estimate):
    return [estimate[part] for part in ("value", "lower", "upper")]


def test_a_quantized_network_is_worse_and_its_original_better(tmp_path, capsys, quantized):
    found, said = compared(
        tmp_path / "c", capsys, "digits", quantized, "--samples", "16", "--nfe", "3"
    )
    assert said[0] == found["verdict"]["sentence"]
    assert said[0].startswith("B is worse: its bound is ") and "lower at none (95%" in said[0]
    assert found["A"]["checkpoint"] == "digits" and found["B"]["family"] == "repaired"
    assert (found["images"], found["units"], len(found["times"])) == (40, 40, 4)
    assert found["bound_rise_nats"]["lower"] > 0 and not found["same_weights"]
    assert found["confidence_of_each_time"] == pytest.approx(1 - 0.05 / 4)
    for row in found["times"]:
        assert row["rise"] == pytest.approx(row["loss_B"] - row["loss_A"], rel=1e-6, abs=1e-9)
        assert row["rise_lower"] < row["rise"] < row["rise_upper"]
    samples = found["samples"]
    assert (samples["samples"], samples["seeds"], len(samples["rows"])) == (16, [0, 1, 2], 6)
    for name in ("frechet", "kid", "tint"):
        of_a, of_b, change = (samples["over_seeds"][0][name][part] for part in ("A", "B", "change"))
        assert change["value"] == pytest.approx(of_b["value"] - of_a["value"], abs=1e-9)
    assert any(line.startswith("3 evaluations, Frechet distance (pixels): ") for line in said)
    assert np.asarray(Image.open(tmp_path / "c" / "compare.png").convert("L")).std() > 1

    mirrored, said = compared(tmp_path / "m", capsys, quantized, "digits")
    assert said[0].startswith("B is better: its bound is ") and mirrored["samples"] is None
    value, lower, upper = ends(mirrored["bound_rise_nats"])
    assert [-value, -upper, -lower] == pytest.approx(ends(found["bound_rise_nats"]), rel=1e-9)


def test_the_same_weights_are_said_to_be_the_same(tmp_path, capsys):
    found, said = compared(tmp_path, capsys, "digits", "digits")
    fingerprint = found["A"]["fingerprint"]
    assert said[0] == (
        f"A and B have the same weights (fingerprint {fingerprint}); no difference: A and B have the same "
        "loss on each of 40 images at each of 4 times"
    )
    assert ends(found["bound_rise_nats"]) == [0, 0, 0]
    assert all(row["rise"] == 0 for row in found["times"])
    page = (tmp_path / "compare.html").read_text()
    assert "0.0e+00" not in page and "0.00e+00" not in page
    assert any(line.endswith("the bound of B less that of A, in bits/dim: 0") for line in said)
    assert page.count('<td class="plain">0</td>') == len(found["times"]) == 4
    assert found["settings"]["times"] == ", ".join(f"{row['t']:g}" for row in found["times"])


def test_two_networks_of_one_file_are_not_taken_for_one(tmp_path, capsys, own):
    """Their fingerprint is that of the file."""
    more = ["--samples", "16", "--nfe", "3"]
    found, said = compared(tmp_path, capsys, f"{own}:same", f"{own}:biased", *more)
    assert found["A"]["fingerprint"] == found["B"]["fingerprint"] and not found["same_weights"]
    assert "same weights" not in said[0]
    at_noise = max(found["times"], key=lambda row: row["t"])
    assert at_noise["rise"] == pytest.approx(64 * 0.125**2, rel=0.2)
    assert at_noise["rise_lower"] > 0
    assert found["samples"]["over_seeds"][0]["tint"]["change"]["lower"] > 0


def test_images_that_are_all_one_give_no_certainty(tmp_path, capsys, quantized):
    one = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", images=one.repeat(3, 0))
    found, said = compared(
        tmp_path / "o", capsys, "digits", quantized, "--data", str(tmp_path / "x.npz")
    )
    assert said[0].startswith("no difference is certain: B's bound is ")
    assert found["units"] == 1 and found["bound_rise_nats"]["upper"] is None
    assert any("caution: 1 independent images are few" in line for line in said)


def test_networks_that_are_not_alike_are_refused_before_they_run(tmp_path, own, pipeline):
    other = str(save_pipeline(tmp_path / "schedule", shape=(1, 8, 8), beta_end=0.03))
    out = tmp_path / "out"
    for name, said in (
        (str(pipeline), r"one shape, digits is of \(1, 8, 8\), .* of \(3, 16, 16\)"),
        (other, "one schedule, got DiscreteSchedule"),
        (f"{own}:velocity", r"one target, got Target\('noise'\) and Target\('velocity'\)"),
        (f"{own}:cosine", "one schedule, got DiscreteSchedule.* and VPCosine"),
        (f"{own}:classes", "one kind of conditions, digits is of None, .* of 10"),
    ):
        for pair in (("digits", name), (name, "digits")):
            swapped = pair[0] == name
            with refusal("expected two networks of one" if swapped else said, pair):
                main(["compare", *pair, *FEW, "--out", str(out)])
    for arguments, said in (
        (["--at", "500"], "expected at least two of finite log-SNR, got 1"),
        (["--at", "500,2000"], "times outside the schedule"),
        (["--samples", "4", "--seeds", "2"], "expected at least 3 repetitions, got 2"),
        (["--samples", "4", "--solver", "magic"], "solver: expected one of ddim"),
        (["--condition", "null"], "has no null condition"),
    ):
        given = [] if "--at" in arguments else ["--times", "4"]
        with refusal(said, arguments):
            main([
                "compare", f"{own}:plain", f"{own}:plain", "--images", "40", "--quiet", *given,
                *arguments, "--out", str(out),
            ])  # fmt: skip
    assert not out.exists()


def test_another_range_or_autoencoder_is_refused(digits_checkpoint):
    times = torch.tensor([100, 900])
    one = digits_checkpoint
    coded = [
        replace(one, codec=Codec(one.shape, torch.neg, torch.neg, which)) for which in ("a", "b")
    ]
    require_comparable(one, one, times, "joint")
    require_comparable(coded[0], coded[0], times, "joint")
    for pair in ((one, coded[0]), coded):
        with refusal("one range or autoencoder"):
            require_comparable(*pair, times, "joint")
    classes = [replace(one, conditions=10, null_condition=null) for null in (None, 10)]
    require_comparable(*classes, times, "joint")
    with refusal("one null condition, digits is of None, digits of 10"):
        require_comparable(*classes, times, "null")
    assert same_weights(one, one) and not same_weights(one, replace(one, fingerprint="other"))


def test_the_same_weights_are_known_only_of_networks_whose_modules_are(digits_checkpoint):
    hidden = replace(digits_checkpoint, modules={})
    assert same_weights(digits_checkpoint, digits_checkpoint)
    assert not same_weights(digits_checkpoint, replace(digits_checkpoint, fingerprint="another"))
    for pair in ((digits_checkpoint, hidden), (hidden, digits_checkpoint), (hidden, hidden)):
        assert not same_weights(*pair)
