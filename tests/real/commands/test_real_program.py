"""``python -m real`` from end to end, and every kind of bad input: one line, status 2, no output."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel
from PIL import Image
from torch.nn.functional import avg_pool2d

from real.cli import main
from real.families.checkpoint import Codec
from tests.real.conftest import save_pipeline
from theory.calibration.result import Calibration
from theory.support.command_line import run
from theory.support.errors import InputError

SMALL = ["--images", "32", "--quiet"]
TIME_KEYS = {
    "t", "log_snr", "eta_sq", "eta_sq_lower", "eta_sq_upper",
    "heldout_gain", "heldout_gain_lower", "heldout_gain_upper", "denoising_loss",
    "error_energy", "plain_error_energy", "weight", "certificate",
}  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory, digits_calibration):
    out = tmp_path_factory.mktemp("out") / "report"
    arguments = ["validate", "digits", "--calibration", str(digits_calibration), "--data", "digits"]
    main([*arguments, "--out", str(out), "--nfe", "3", "--samples", "9", *SMALL])
    return out


def test_report_holds_the_promised_keys(report):
    content = json.loads((report / "report.json").read_text())
    assert {"checkpoint", "fingerprint", "images_held_out"} <= set(content)
    assert content["images_held_out"] == 32
    assert content["sampling"]["solver"] == "ddim"
    assert content["sampling"]["nfe"] == 3
    assert content["sampling"]["seconds_before"] > 0
    assert len(content["times"]) == 4
    assert all(set(row) >= TIME_KEYS for row in content["times"])
    for name in ("bound_gain_nats", "bound_gain_bits_per_dim"):
        assert content[name]["lower"] <= content[name]["value"] <= content[name]["upper"]
    ratio = content["bound_gain_nats"]["value"] / content["bound_gain_bits_per_dim"]["value"]
    assert ratio == pytest.approx(64 * np.log(2))


def test_report_shows_its_pictures(report):
    page = (report / "report.html").read_text()
    assert page.count("<svg") == 4 and page.count("data:image/png") >= 3
    for name in ("calibration", "samples_before", "samples_after", "samples_held_out"):
        assert np.asarray(Image.open(report / f"{name}.png").convert("L")).std() > 1
    assert not list(report.glob(".*"))


def test_a_users_own_network_from_folder_to_report(tmp_path, pipeline):
    images = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    data, out = tmp_path / "images.npz", tmp_path / "c.safetensors"
    np.savez(data, images=images)
    common = [str(pipeline), "--data", str(data), "--quiet"]
    main(["calibrate", *common, "--images", "12", "--at", "10,500,999", "--out", str(out)])
    arguments = ["validate", *common, "--calibration", str(out), "--out", str(tmp_path / "r")]
    main([*arguments, "--nfe", "2", "--samples", "2"])
    content = json.loads((tmp_path / "r" / "report.json").read_text())
    assert content["images_held_out"] == 8
    assert content["images_left_out"] == 12
    assert [row["t"] for row in content["times"]] == [10, 500, 999]


def test_a_latent_network_from_images_to_report(tmp_path, monkeypatch, digits_checkpoint):
    """Its codec halves colour images to the digits network's 8x8: all passes are in latents."""

    def encode(images):
        return avg_pool2d(images.mean(1, keepdim=True), 2)

    def decode(z):
        return z.repeat_interleave(2, 2).repeat_interleave(2, 3).expand(-1, 3, -1, -1)

    checkpoint = replace(digits_checkpoint, codec=Codec((3, 16, 16), encode, decode, "codec"))
    monkeypatch.setattr("real.commands.loading.load", lambda *given: checkpoint)
    images = np.random.default_rng(0).integers(0, 256, (24, 20, 16, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=images)
    common = ["digits", "--data", str(tmp_path / "images.npz"), "--quiet"]
    found, out = tmp_path / "c.safetensors", tmp_path / "out"
    main(["calibrate", *common, "--images", "12", "--at", "500,999", "--out", str(found)])
    common += ["--calibration", str(found)]
    main(["validate", *common, "--nfe", "2", "--samples", "4", "--out", str(out)])
    assert json.loads((out / "report.json").read_text())["images_left_out"] == 12
    shown = np.asarray(Image.open(out / "samples_held_out.png"))
    assert shown.ndim == 2 or shown.shape[2] == 3
    main([
        "quality", *common, "--nfe", "2", "--features", "pixels", "--samples", "6", "--out",
        str(out),
    ])  # fmt: skip
    assert json.loads((out / "quality.json").read_text())["feature_width"] == 3 * 16 * 16
    kept = str(tmp_path / "kept.safetensors")
    main(["encode", *common[:4], "--images", "12", "--out", kept])
    again = tmp_path / "again.safetensors"
    main(["calibrate", "digits", "--data", kept, "--quiet", "--at", "500,999", "--out", str(again)])
    assert torch.equal(Calibration.load(again).shift, Calibration.load(found).shift)
    with pytest.raises(InputError, match=r"expected a name with \.safetensors"):
        main(["encode", *common[:4], "--out", str(tmp_path / "kept.npz")])


def test_only_networks_on_latents_encode(tmp_path):
    with pytest.raises(InputError, match="no autoencoder"):
        main(["encode", "digits", "--out", str(tmp_path / "x.safetensors")])
    assert not list(tmp_path.iterdir())


def test_sample_differs_with_a_calibration_only(tmp_path, digits_calibration):
    pictures = []
    for name, more in (("a", []), ("b", []), ("c", ["--calibration", str(digits_calibration)])):
        out = tmp_path / f"{name}.png"
        main(["sample", "--nfe", "3", "--samples", "4", "--out", str(out), "--quiet", *more])
        pictures.append(np.asarray(Image.open(out)))
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_results_do_not_depend_on_the_batch_size(tmp_path):
    shifts = []
    for size in ("7", "32"):
        out = tmp_path / f"{size}.safetensors"
        main(["calibrate", "--at", "500", "--batch-size", size, "--out", str(out), *SMALL])
        shifts.append(Calibration.load(out).shift)
    assert torch.allclose(*shifts, atol=1e-5)


def test_audit_tells_noise_from_gain(tmp_path, capsys):
    t = np.arange(1.0, 11.0)
    images, dimension = 100, 50
    mean_sq, energy = np.full(10, 0.6), np.full(10, 40.6)
    stats = np.stack([t, mean_sq, mean_sq * 0.1, energy], 1)
    np.savez(tmp_path / "s.npz", stats=stats)
    arguments = [str(tmp_path / "s.npz"), "--images", str(images), "--dim", str(dimension)]
    main(["audit", *arguments, "--out", str(tmp_path / "a.png")])
    said = capsys.readouterr().out
    claimed, noise, within = 0.5 * 0.6, 0.5 * 40.0 / 100, 0.5 * (40.0 - 9.4) / 100
    assert f"{claimed:.3f} nats" in said
    assert f"{claimed - noise:.3f} to {claimed - within:.3f} nats" in said
    assert f"{claimed - 2 * noise:+.2f} to {claimed - 2 * within:+.2f} nats" in said
    assert np.asarray(Image.open(tmp_path / "a.png").convert("L")).std() > 1


REFERENCE = Path(__file__).parents[4] / "shared" / "reference" / "score_stats_cifar10.npz"


@pytest.mark.skipif(not REFERENCE.exists(), reason="the published statistics are not here")
def test_audit_of_the_published_statistics(capsys):
    main(["audit", str(REFERENCE), "--images", "50000", "--dim", "3072"])
    said = capsys.readouterr().out
    for figure in ("0.589 nats", "0.035 to 0.106 nats", "-0.52 to -0.38 nats"):
        assert figure in said


def _status(monkeypatch, capsys, arguments) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["real", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        run("python -m real", main)
    return caught.value.code, capsys.readouterr().err


def test_good_input_ends_with_status_zero(monkeypatch, capsys, tmp_path):
    arguments = ["calibrate", "--at", "500", "--out", tmp_path / "c", *SMALL]
    assert _status(monkeypatch, capsys, arguments) == (0, "")


def bad_inputs(tmp_path, pipeline, digits_calibration):
    """Command lines that must fail, by name, with a part of what they must say."""
    (tmp_path / "file").write_text("")
    np.savez(tmp_path / "other.npz", stats=np.zeros((3, 2)))
    np.savez(tmp_path / "rgb.npz", images=np.zeros((4, 3, 16, 16), np.float32))
    broken = save_pipeline(tmp_path / "nan", shape=(1, 8, 8))
    network = UNet2DModel.from_pretrained(broken, subfolder="unet")
    with torch.no_grad():
        network.conv_out.bias.fill_(torch.nan)
    network.save_pretrained(broken / "unet")
    out = ["--out", tmp_path / "out", *SMALL]
    audited = ["--images", "10", "--dim", "10"]
    validate = ["validate", "--calibration", digits_calibration]
    return {
        "no checkpoint": (["calibrate", tmp_path / "none", *out], "expected 'digits'"),
        "no data": (
            ["calibrate", "--data", tmp_path / "none", *out],
            "expected 'digits', a folder",
        ),
        "image shape": (["calibrate", "--data", tmp_path / "rgb.npz", *out], "of shape (1, 8, 8)"),
        "one image": (["calibrate", *out, "--images", "1"], "at least two"),
        "time outside": (["calibrate", "--at", "5,1000", *out], "times outside the schedule"),
        "time twice": (["calibrate", "--at", "5,5", *out], "each once"),
        "fraction": (["calibrate", "--at", "5.5", *out], "integer indices"),
        "nan": (["calibrate", broken, "--at", "7,500", *out], "at t=7"),
        "device": (["calibrate", "--device", "cuda:9", *out], "usable device"),
        "output": (
            ["calibrate", "--at", "5", "--out", tmp_path / "file" / "out", *SMALL],
            "cannot write",
        ),
        "output folder": (["calibrate", "--out", tmp_path, *SMALL], "expected a file name"),
        "other shape": ([*validate, pipeline, *out], "made for another image shape"),
        "other network": ([*validate, broken, *out], "made for another network"),
        "no calibration": (["validate", "--calibration", tmp_path / "none", *out], "there is none"),
        "no statistics": (["audit", tmp_path / "none", *audited], "does not exist"),
        "other statistics": (
            ["audit", tmp_path / "other.npz", *audited],
            "has one of float64, of shape (3, 2)",
        ),
        "budget": (["calibrate", "--budget", "0", *out], "positive whole number"),
        "precision": (["calibrate", "--precision", "2", *out], "above 0 and below 1"),
        "solver": (
            ["sample", "--solver", "magic", "--out", tmp_path / "out"],
            "expected one of ddim",
        ),
        "too many steps": (
            ["sample", "--nfe", "1001", "--out", tmp_path / "out"],
            "at most 1000 steps",
        ),
        "not downloaded": (["calibrate", "--data", "hub:some/set", *out], "data: hub:some/set"),
        "sample with another's": (
            ["sample", pipeline, "--calibration", digits_calibration, "--out", tmp_path / "out"],
            "made for another",
        ),
    }


def test_bad_input_is_one_line_status_two_and_no_output(
    monkeypatch, capsys, tmp_path, pipeline, digits_calibration
):
    bad = bad_inputs(tmp_path, pipeline, digits_calibration)
    before = sorted(tmp_path.rglob("*"))
    for name, (arguments, message) in bad.items():
        status, said = _status(monkeypatch, capsys, arguments)
        assert status == 2, name
        assert message in said, (name, said)
        assert said.count("\n") == 1, (name, said)
        assert sorted(tmp_path.rglob("*")) == before, name
