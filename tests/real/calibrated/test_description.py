"""Wrong descriptions of a real network are said first; right ones are not warned against."""

from dataclasses import replace

import pytest
import torch

from real.calibrated.calibrate import calibrate_checkpoint, calibration_summary
from real.checkpoints.reloading import damaged
from real.cli import main
from real.compress import Damage
from real.images.base import ImageSource
from real.images.digits import digits
from theory import Calibration, DiscreteSchedule, InputError, calibrate
from theory.diffusion.targets import named

TIMES = [50, 300, 600, 999]


def scaled_linear(steps=1000):
    betas = torch.linspace(1e-4**0.5, 0.02**0.5, steps, dtype=torch.float64) ** 2
    return DiscreteSchedule((1 - betas).cumprod(0))


def warning(checkpoint, images):
    return calibrate(
        checkpoint.predict, checkpoint.schedule, target=checkpoint.target, images=images,
        times=TIMES,
    ).warning()  # fmt: skip


@pytest.fixture(scope="module")
def images():
    return digits("calibration")[::4]


def test_every_wrong_description_is_said(digits_checkpoint, images):
    right = digits_checkpoint
    wrong = {
        "velocity": (replace(right, target=named("velocity")), images),
        "data": (replace(right, target=named("data")), images),
        "another table": (replace(right, schedule=scaled_linear()), images),
        "images in [0, 1]": (right, (images + 1) / 2),
        "images in [-0.5, 0.5]": (right, images / 2),
        "images in 0..255": (right, (images + 1) * 127.5),
        "masks": (right, (images > 0).float()),
        "time reversed": (
            replace(right, predict=lambda x_t, t: right.predict(x_t, 999 - t)), images,
        ),
        "sign reversed": (replace(right, predict=lambda x_t, t: -right.predict(x_t, t)), images),
    }  # fmt: skip
    silent = [name for name, (network, seen) in wrong.items() if warning(network, seen) is None]
    assert silent == []


def test_right_descriptions_are_not(digits_checkpoint, images):
    for network in (digits_checkpoint, damaged(digits_checkpoint, Damage("int8"))):
        assert warning(network, images) is None, network.reference
    assert warning(digits_checkpoint, images[:6]) is None


OWN = """
import torch
from real import load
from theory.diffusion.targets import VELOCITY

def wrong():
    network = load("digits")
    return network.predict, network.schedule, VELOCITY, network.shape
"""


def test_it_comes_first_and_may_count_as_a_failure(tmp_path, capsys):
    file, out = tmp_path / "own.py", tmp_path / "c.safetensors"
    file.write_text(OWN)
    own = [f"{file}:wrong", "--data", "digits", "--images", "40", "--quiet"]
    assert main(["calibrate", *own, "--at", "300,999", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("warning: the network does not fit its description")
    assert any(line.startswith("Certified") for line in lines[2:])
    assert main(["calibrate", *own, "--at", "300,999", "--out", str(out), "--strict"]) == 1
    report = ["--calibration", str(out), "--samples", "2", "--nfe", "1"]
    capsys.readouterr()
    found = main(["validate", *own, *report, "--out", str(tmp_path / "r"), "--strict"])
    assert found == 1
    assert capsys.readouterr().out.startswith("Do not use it yet: the network does not fit its")
    assert "does not fit its description" in (tmp_path / "r" / "report.html").read_text()


def test_a_right_network_passes_strictly(tmp_path):
    out = tmp_path / "c.safetensors"
    assert main([
        "calibrate", "digits", "--images", "40", "--at", "300,999", "--out", str(out), "--quiet",
        "--strict",
    ]) == 0  # fmt: skip


def test_the_published_calibration_has_its_name(tmp_path):
    options = ["calibrate", "digits", "--images", "40", "--at", "300,999", "--quiet", "--out"]
    made = []
    for k, more in enumerate((
        ["--policy", "published"], ["--estimator", "plain", "--policy", "unshrunk"],
        ["--policy", "unshrunk"],
    )):  # fmt: skip
        path = tmp_path / f"{k}.safetensors"
        assert main([*options, str(path), *more]) == 0
        made.append(Calibration.load(path))
    published, plain, regression = made
    assert published.choices[0].estimator == "plain"
    assert torch.equal(published.shift, plain.shift)
    assert not torch.equal(published.shift, regression.shift)
    assert published.weights.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "more", [["--policy", "published", "--budget", "500"], ["--estimator", "plain", "--precision", "0.1"],
             ["--policy", "published", "--estimator", "residual"]],
)  # fmt: skip
def test_settings_that_contradict_each_other_are_refused(tmp_path, more):
    with pytest.raises(InputError, match=r"^estimator: "):
        main(["calibrate", "digits", "--out", str(tmp_path / "c"), *more])


def test_gaps_over_which_slopes_are_off_are_said(digits_checkpoint, images):
    source = ImageSource.of("some", images[:30])
    for times, said in ((3, "off between 2 pairs of neighbouring times"), (12, "off between")):
        made = calibrate_checkpoint(digits_checkpoint, source, times, order=1)
        assert (said in "\n".join(calibration_summary(made))) == (times == 3)


@pytest.mark.parametrize(
    ("times", "said", "not_said"),
    [
        (1, "off the squared error at this time", "of the bound"),
        (3, "to stand for the bound: take more", "off the squared error"),
        (12, "nats of the bound (trapezoid over 12 times)", "take more"),
    ],
)
def test_what_few_times_certify_is_not_called_the_bound(
    digits_checkpoint, images, times, said, not_said
):
    source = ImageSource.of("some", images[:40])
    made = calibrate_checkpoint(digits_checkpoint, source, times, order=0)
    (line,) = (
        t for t in calibration_summary(replace(made, total_certificate=0.5)) if "Certified" in t
    )
    assert said in line and not_said not in line
