"""Conditions of images and samples, and the commands that hand them to the network."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from real.calibrated.conditions import missing_classes, of_images, of_samples
from real.cli import main
from real.images.opening import open_images
from theory.calibration.result import Calibration
from theory.support.errors import InputError


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """An untrained network of three classes and a null one, and labelled images."""
    folder = tmp_path_factory.mktemp("classes")
    with torch.random.fork_rng(devices=[]):
        network = UNet2DModel(
            sample_size=8, in_channels=1, out_channels=1, layers_per_block=1,
            block_out_channels=(8, 16), down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"), norm_num_groups=4, num_class_embeds=4,
        )  # fmt: skip
    DDPMPipeline(network, DDPMScheduler()).save_pretrained(folder / "net")
    index = folder / "net" / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"null_class": 3}))
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(folder / "images.npz", images=images, labels=np.arange(60) % 3)
    np.savez(folder / "bare.npz", images=images)
    return folder


@pytest.fixture(scope="module")
def checkpoint(classes):
    from real.checkpoints import load

    return load(classes / "net")


def source(classes, checkpoint, name="images.npz"):
    return open_images(str(classes / name), "calibration", checkpoint.shape)


def test_images_have_their_labels_or_the_null_one(classes, checkpoint):
    images = source(classes, checkpoint)
    assert of_images(checkpoint, images, "joint").tolist() == list(range(3)) * 20
    assert of_images(checkpoint, images, "null").tolist() == [3] * 60
    bare = source(classes, checkpoint, "bare.npz")
    assert of_images(checkpoint, bare, "null").tolist() == [3] * 60
    with pytest.raises(InputError, match=r"takes class labels, .* has none"):
        of_images(checkpoint, bare, "joint")
    with pytest.raises(InputError, match=r"classes 0 to 1, .* labels up to 2"):
        of_images(replace(checkpoint, conditions=2), images, "joint")
    with pytest.raises(InputError, match="no condition that stands for none"):
        of_images(replace(checkpoint, null_condition=None), images, "null")


def test_labels_of_one_class_are_said(classes, checkpoint, tmp_path, capsys):
    labels = torch.arange(60) % 3
    right = (
        labels,
        labels.clamp(max=1),
        torch.full((60,), 3),
        torch.tensor([0, 2]),
        None,
        ["a"] * 60,
    )
    assert [missing_classes(checkpoint, given) for given in right] == [[]] * len(right)
    said = ["the images are of 1 of the 3 classes that it knows"]
    assert missing_classes(checkpoint, torch.ones(60).long()) == said
    assert missing_classes(checkpoint, torch.tensor([1, 3] * 30)) == said
    assert missing_classes(replace(checkpoint, conditions=None), labels) == []
    two = replace(checkpoint, conditions=2, null_condition=None)
    assert missing_classes(two, labels.clamp(max=0)) and not missing_classes(two, labels % 2)
    ten = replace(checkpoint, conditions=10)
    assert missing_classes(ten, torch.tensor([1, 1])) == []  # two images show two at the most
    stored = np.load(classes / "images.npz")
    np.savez(tmp_path / "one.npz", images=stored["images"], labels=np.ones(60, dtype=np.int64))
    out = ["--data", str(tmp_path / "one.npz"), "--out", str(tmp_path / "c"), "--quiet"]
    assert main(["calibrate", str(classes / "net"), *out, "--at", "500", "--strict"]) == 1
    assert said[0] in capsys.readouterr().out


def test_texts_are_no_labels(classes, checkpoint):
    images, text = source(classes, checkpoint), replace(checkpoint, conditions="text")
    with pytest.raises(InputError, match="takes texts"):
        of_images(text, images, "joint")
    captioned = replace(images, labels=["a"] * 60)
    assert of_images(text, captioned, "joint") == ["a"] * 60
    assert of_images(replace(text, null_condition=""), images, "null") == [""] * 60
    assert of_samples(text, 2, "a cat") == ["a cat"] * 2


def test_samples_are_of_all_classes_or_of_one(checkpoint, digits_checkpoint):
    assert of_samples(checkpoint, 4, None).tolist() == [0, 1, 2, 0]
    assert of_samples(checkpoint, 2, "2").tolist() == [2, 2]
    assert of_samples(digits_checkpoint, 4, None) is None
    for network, wanted in ((checkpoint, "3"), (checkpoint, "cat"), (digits_checkpoint, "1")):
        with pytest.raises(InputError, match="condition:"):
            of_samples(network, 2, wanted)


def test_from_labels_to_report_and_guided_samples(classes, capsys):
    net, data = str(classes / "net"), str(classes / "images.npz")
    joint, null = classes / "joint.safetensors", classes / "null.safetensors"
    common = ["--data", data, "--quiet", "--at", "100,500,900", "--images", "40"]
    main(["calibrate", net, *common, "--per-class", "--order", "1", "--out", str(joint)])
    main(["calibrate", net, *common, "--condition", "null", "--out", str(null)])
    calibration = Calibration.load(joint)
    assert calibration.class_shift.shift.shape == (3, 3, 1, 8, 8)
    assert calibration.slopes.kinds != ("none",) * 3
    assert Calibration.load(null).class_shift is None
    assert not torch.equal(calibration.shift, Calibration.load(null).shift)
    main([
        "validate", net, "--calibration", str(joint), "--data", data, "--quiet",
        "--out", str(classes / "report"), "--nfe", "2", "--samples", "4",
    ])  # fmt: skip
    report = json.loads((classes / "report" / "report.json").read_text())
    assert report["images_held_out"] == 20
    assert report["bound_gain_nats"]["value"] > report["shift_bound_gain_nats"]["value"]
    outputs = {}
    for name, more in {
        "plain": [],
        "guided": ["--guidance", "2"],
        "calibrated": [
            "--guidance",
            "2",
            "--calibration",
            str(joint),
            "--unconditional",
            str(null),
        ],
    }.items():
        out = classes / f"{name}.png"
        main(["sample", net, "--quiet", "--nfe", "3", "--samples", "4", *more, "--out", str(out)])
        outputs[name] = out.read_bytes()
    assert len(set(outputs.values())) == 3


def test_what_the_network_cannot_do_is_refused(classes):
    with pytest.raises(InputError, match="takes no class labels"):
        main(["calibrate", "digits", "--per-class", "--out", str(classes / "c.safetensors")])
    with pytest.raises(InputError, match="null condition"):
        main([
            "sample", "digits", "--guidance", "1", "--samples", "2", "--nfe", "2", "--quiet",
            "--out", str(classes / "c.png"),
        ])  # fmt: skip
    assert not (classes / "c.safetensors").exists()


def test_times_of_a_solver_and_what_they_are_worth(tmp_path):
    out = tmp_path / "c.safetensors"
    main([
        "calibrate", "digits", "--for", "ddim:4", "--images", "20", "--quiet", "--out", str(out),
    ])  # fmt: skip
    calibration = Calibration.load(out)
    assert sorted(calibration.times.tolist()) == [0, 250, 500, 750]
    assert calibration.provenance["solver"] == "ddim:4"
