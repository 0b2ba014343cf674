"""Networks whose data do not lie in [-1, 1]: they say so, in their file or with --range."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

from real import load
from real.cli import main
from real.families.checkpoint import Codec
from real.families.data_range import in_range
from tests.refusals import refusal
from theory import Calibration

OWN = """
import math
import torch
from real import load
from theory.diffusion.targets import NOISE

digits = load("digits")

def predict(x_t, t):
    '''The noise in x_t, for digits in [0, 1]: 2 x_t - alpha is a noised digit of twice the noise.'''
    schedule = digits.schedule
    alpha, sigma = (f(t).to(x_t)[:, None, None, None] for f in (schedule.alpha, schedule.sigma))
    later = schedule.time_of((schedule.log_snr(t) - math.log(4)).clamp(min=-10))
    return digits.predict((2 * x_t - alpha) / (alpha**2 + 4 * sigma**2).sqrt(), later)

class silent:
    predict, schedule, target, shape = staticmethod(predict), digits.schedule, NOISE, (1, 8, 8)

class said(silent):
    data_range = (0, 1)

class wrong(silent):
    data_range = "0,1"
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    file = tmp_path_factory.mktemp("own") / "own.py"
    file.write_text(OWN)
    return file


def calibrate(network, out, *more):
    return main([
        "calibrate", network, "--data", "digits", "--images", "60", "--at", "100,400,600", "--out",
        str(out), "--quiet", "--strict", *more,
    ])  # fmt: skip


def test_the_range_is_stated_in_either_place(own, tmp_path):
    assert calibrate(f"{own}:silent", tmp_path / "silent") == 1
    assert calibrate(f"{own}:said", tmp_path / "said") == 0
    assert calibrate(f"{own}:silent", tmp_path / "option", "--range", "0,1") == 0
    said, option = (Calibration.load(tmp_path / name) for name in ("said", "option"))
    assert torch.equal(said.shift, option.shift)
    assert said.provenance["codec"] == "range 0 to 1"
    assert calibrate("digits", tmp_path / "usual", "--range=-1,1") == 0
    assert "codec" not in Calibration.load(tmp_path / "usual").provenance


def test_samples_and_reports_are_led_back(own, tmp_path):
    made = tmp_path / "made"
    assert calibrate(f"{own}:said", made) == 0
    options = ["--calibration", str(made), "--nfe", "10", "--quiet", "--samples", "16"]
    assert main(["sample", f"{own}:said", *options, "--out", str(tmp_path / "s.png")]) == 0
    pixels = torch.tensor(list(Image.open(tmp_path / "s.png").convert("L").get_flattened_data()))
    assert (pixels < 64).float().mean() > 0.2, "the ground of a digit is black"
    report = ["--data", "digits", "--images", "40", "--out", str(tmp_path / "r"), "--strict"]
    assert main(["validate", f"{own}:said", *options, *report]) == 0
    found = json.loads((tmp_path / "r" / "report.json").read_text())
    assert found["warning"] is None


def test_a_calibration_of_another_range_is_refused(own, tmp_path):
    assert calibrate(f"{own}:said", tmp_path / "made") == 0
    assert calibrate(f"{own}:silent", tmp_path / "bare") == 1
    for network, path, more in (
        (f"{own}:silent", "made", ()), (f"{own}:silent", "made", ("--range=0,2",)),
        (f"{own}:said", "bare", ()),
    ):  # fmt: skip
        arguments = ["sample", network, "--calibration", str(tmp_path / path), *more]
        with refusal("calibration: made for another range", (network, path, more)):
            main([*arguments, "--out", str(tmp_path / "s.png"), "--quiet"])


def test_what_is_no_range_is_refused(own, digits_checkpoint, tmp_path):
    for low, high in ((1.0, 0.0), (0.0, 0.0), (float("nan"), 1.0), (0.0, float("inf"))):
        with refusal("range: expected LOW below HIGH", (low, high)):
            in_range(digits_checkpoint, low, high)
    with refusal("range: digits says its own, 0 to 1"):
        in_range(in_range(digits_checkpoint, 0.0, 1.0), 0.0, 2.0)
    autoencoder = Codec((1, 16, 16), lambda x: x, lambda x: x, "0123")
    with refusal("range: .* works on latents"):
        in_range(replace(digits_checkpoint, codec=autoencoder), 0.0, 2.0)
    for text in ("0", "0,1,2", "a,b"):
        with refusal("argument --range: expected", text):
            calibrate("digits", tmp_path / "c", f"--range={text}")
    with refusal("expected two numbers as data_range"):
        load(f"{own}:wrong")


def test_a_network_works_on_pixels_from_minus_one_to_one_unless_its_codec_says_else(
    digits_checkpoint,
):
    assert digits_checkpoint.codec is None and digits_checkpoint.data_range == (-1.0, 1.0)
    assert in_range(digits_checkpoint, 0.0, 255.0).data_range == (0.0, 255.0)
    latent = replace(in_range(digits_checkpoint, 0.0, 1.0).codec, data_range=None)
    with refusal("works on latents, which have no range"):
        replace(digits_checkpoint, codec=latent).data_range  # noqa: B018


def test_the_way_there_and_back_is_exact(digits_checkpoint):
    codec = in_range(digits_checkpoint, 0.0, 255.0).codec
    images = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
    assert codec.encode(images).min() == 0 and codec.encode(images).max() == 255
    assert torch.allclose(codec.decode(codec.encode(images)), images, atol=1e-6)
