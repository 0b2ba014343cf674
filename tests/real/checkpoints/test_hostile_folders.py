"""Hostile folders, pictures and calibrations: nothing of them runs, and each is refused in one line."""

import json
import os
import shutil
import tracemalloc
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from real.checkpoints import load
from real.checkpoints.reloading import damaged
from real.compress import Damage
from real.compress import repaired_folder as folder
from real.families.beta_tables import schedule_of_settings
from real.families.diffusers.process import process_of
from real.images.edm_labels import labels_of
from real.images.opening import open_images
from real.images.pixels import read_picture
from tests.real.conftest import save_pipeline
from tests.real.state_files import SMALL_DDPM, ddpm_state, write
from tests.refusals import refusal
from theory.calibration.result import Calibration
from theory.support.safe_reading import parse_json, read_json

DEEP = "[" * 200_000


def refused(match, call, *arguments):
    with refusal(match, arguments):
        call(*arguments)


OWN = """
from pathlib import Path
from real import load, restored

Path(__file__).with_name("witness").touch()

def net():
    return load("digits")

def again():
    return restored(Path(__file__).parent, net())
"""


@pytest.fixture
def of_own(tmp_path, digits_checkpoint):
    """A repaired folder whose original is FILE.py:NAME."""
    damage = Damage("int4")
    network = damaged(digits_checkpoint, damage)
    folder.save_repaired(tmp_path, digits_checkpoint, damage, network)
    (tmp_path / "own.py").write_text(OWN)
    edit(tmp_path / folder.MANIFEST, original=f"{tmp_path / 'own.py'}:net", family=None)
    return tmp_path, network


def edit(path: Path, **values) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_repaired_folder_has_no_code_run_but_the_user_can(of_own):
    path, network = of_own
    refused(r"a folder cannot have code run: give real\.restored\(folder, original\)", load, path)
    assert not (path / "witness").exists()
    brought = load(f"{path / 'own.py'}:again")
    assert brought.fingerprint == network.fingerprint
    assert (path / "witness").exists()


def test_manifests_of_other_kinds_are_refused(of_own):
    manifest = of_own[0] / folder.MANIFEST
    whole = manifest.read_text()
    for changes in ({"original": 5}, {"family": ["x"]}, {"prune": "x"}, {"quantize": [1]}):
        edit(manifest, **changes)
        with refusal("cannot be read as a manifest", changes):
            load(of_own[0])
        manifest.write_text(whole)
    edit(manifest, original="")
    refused(r"expected unet/config\.json|expected 'digits'", load, of_own[0])


def test_a_repaired_folder_never_names_another_or_itself(of_own):
    path, _ = of_own
    for family in (None, "repaired"):
        edit(path / folder.MANIFEST, original=str(path), family=family)
        with refusal("repaired itself", family):
            load(path)


def test_deep_json_is_refused_wherever_it_is_read(tmp_path, of_own, pipeline, digits_calibration):
    (of_own[0] / folder.MANIFEST).write_text(DEEP)
    refused("cannot be read as JSON", load, of_own[0])
    for part in ("unet/config.json", "scheduler/scheduler_config.json"):
        copy = tmp_path / part.replace("/", "-")
        shutil.copytree(pipeline, copy)
        (copy / part).write_text(DEEP)
        refused("cannot be read as JSON", load, copy)
    refused("expected", labels_of, DEEP.encode(), [], "x")
    (tmp_path / "metadata.jsonl").write_text(DEEP)
    refused("line 1", open_images, str(tmp_path / "metadata.jsonl"), "calibration", (1, 8, 8))
    write(tmp_path / "x.ckpt", ddpm_state()).with_suffix(".json").write_text(DEEP)
    refused("cannot be read as JSON", load, tmp_path / "x.ckpt")


def test_json_takes_memory_in_proportion_to_what_it_may_hold():
    tracemalloc.start()
    try:
        for text in ("[" + "[]," * 3_000_000 + "[]]", "[" + "1," * 7_000_000 + "1]"):
            with pytest.raises(ValueError, match="more than"):
                parse_json(text, 2**26)
        assert tracemalloc.get_traced_memory()[1] < 60e6
    finally:
        tracemalloc.stop()
    assert parse_json("[[1, 2.5], {}]") == [[1, 2.5], {}]


def test_only_regular_files_are_opened(tmp_path, pipeline):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    refused("expected a regular file", load, pipe)
    refused("expected a regular file", read_json, pipe, "checkpoint")
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    refused("expected a regular file", list, open_images(str(tmp_path), "calibration", (1, 8, 8)))
    copy = tmp_path / "copy"
    shutil.copytree(pipeline, copy)
    os.mkfifo(copy / "unet" / "other.bin")
    refused("expected a regular file", load, copy)
    (tmp_path / "link.ckpt").symlink_to(write(tmp_path / "x.ckpt", ddpm_state()))
    (tmp_path / "link.json").write_text(json.dumps({"config": SMALL_DDPM}))
    assert load(tmp_path / "link.ckpt").family == "ddpm"


def test_a_picture_starts_no_program(tmp_path, monkeypatch):
    witness, gs = tmp_path / "witness", tmp_path / "gs"
    gs.write_text(f"#!/bin/sh\ntouch {witness}\n")
    gs.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    refused("cannot be read as an image", read_picture, content, "x.png", (1, 8, 8))
    assert not witness.exists()
    (tmp_path / "x.eps").write_bytes(content)
    with pytest.raises(OSError), Image.open(tmp_path / "x.eps") as picture:
        picture.load()  # the control: without care Ghostscript is started
    assert witness.exists()


def test_steps_that_no_schedule_has_are_refused():
    for steps in (10**9, -1, 0, "x", None, 1.5, True):
        for name in ("DDPMScheduler", "FlowMatchEulerDiscreteScheduler"):
            config = {"_class_name": name, "beta_schedule": "linear", "num_train_timesteps": steps}
            refused("expected num_train_timesteps from 1", process_of, config)


def test_tables_that_no_schedule_has_are_refused():
    base = {"beta_schedule": "linear", "_class_name": "DDPMScheduler"}
    refused("prediction_type", process_of, base | {"prediction_type": ["epsilon"]})
    refused("cannot read the schedule", process_of, base | {"beta_start": "x"})
    refused("alphas_cumprod", process_of, base | {"trained_betas": [[0.1, 0.2], [0.3, 0.4]]})
    refused(
        "diffusion_steps", schedule_of_settings, {"schedule": "cosine", "diffusion_steps": 10**9}
    )
    refused("betas", schedule_of_settings, {"betas": "linear 0.0001..0.02, 2000000000"})
    assert (
        len(schedule_of_settings({"schedule": "cosine", "diffusion_steps": 4000}).alphas_cumprod)
        == 4000
    )


def test_configurations_beyond_their_weights_are_refused(tmp_path, pipeline):
    copy = tmp_path / "copy"
    shutil.copytree(pipeline, copy)
    config = copy / "unet" / "config.json"
    whole = config.read_text()
    for changes, match in (
        ({"layers_per_block": 10**9}, "expected layers_per_block of at most"),
        ({"layers_per_block": 60}, "at most a layer for each of"),
        ({"block_out_channels": [2**20, 2**20]}, "describes a network of .* numbers"),
        ({"block_out_channels": [10**30, 16]}, "got far more"),
        ({"sample_size": 10**9}, "expected sample_size of at most"),
        ({"sample_size": "x"}, "sample_size of one or two whole numbers"),
        ({"sample_size": [8, 8, 8]}, "sample_size of one or two whole numbers"),
        ({"sample_size": -4}, "sample_size of one or two whole numbers"),
        ({"sample_size": 7}, "that can be halved 1 times"),
    ):
        edit(config, **changes)
        with refusal(match, changes):
            load(copy)
        config.write_text(whole)


def test_an_index_names_only_what_lies_beside_it(tmp_path):
    path = save_pipeline(tmp_path / "p", safe=False)
    index = path / "unet" / "diffusion_pytorch_model.bin.index.json"
    for shard in ("../../x.bin", "/etc/passwd", "x.pt", 5):
        index.write_text(json.dumps({"metadata": {}, "weight_map": {"conv_in.weight": shard}}))
        with refusal("expected files .safetensors or .bin beside", shard):
            load(path)


def test_shards_load(tmp_path):
    path = save_pipeline(tmp_path / "p")
    expected = load(path)
    whole = path / "unet" / "diffusion_pytorch_model.safetensors"
    with safe_open(whole, "pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    names, where = sorted(state), {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        shard = f"diffusion_pytorch_model-0000{number}-of-00002.safetensors"
        save_file({name: state[name] for name in part}, whole.with_name(shard), {"format": "pt"})
        where |= dict.fromkeys(part, shard)
    whole.unlink()
    index = {"metadata": {"total_size": 1}, "weight_map": where}
    whole.with_name(f"{whole.name}.index.json").write_text(json.dumps(index))
    assert load(path).fingerprint == expected.fingerprint


def test_calibrations_of_another_layout_are_refused(tmp_path, digits_calibration):
    with safe_open(digits_calibration, "pt") as file:
        content = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        said = file.metadata()
    path = tmp_path / "x.safetensors"
    save_file(content, path, said)
    Calibration.load(path)
    for tensors, metadata in (
        ({"times": torch.tensor(1.0)}, {}), ({"times": torch.zeros(0)}, {}),
        ({"shift": torch.zeros(4, 1, 8, 8)}, {}), ({"gains": torch.zeros(3).double()}, {}),
        ({"weights": torch.zeros(0).double()}, {}), ({"image_ids": torch.zeros(4)}, {}),
        ({}, {"provenance": "[]"}), ({}, {"smoothing": '"x"'}), ({}, {"smoothing": "NaN"}),
        ({}, {"bands": "null"}), ({}, {"choices": "[]"}), ({}, {"provenance": DEEP}),
    ):  # fmt: skip
        save_file(content | tensors, path, said | metadata)
        with refusal("^calibration: ", (tensors, metadata)):
            Calibration.load(path)
