"""Which checkpoint a name means, and which family loads it."""

import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest
import torch

from real.checkpoints import EMBEDDED, FAMILIES, load, loading, registry
from real.cli import main
from real.families.guided_diffusion import loader as guided_diffusion
from real.families.sidecar_settings import Preset
from tests.real.state_files import (
    SMALL_GUIDED,
    SMALL_SETTINGS,
    ddpm_state,
    guided_state,
    write,
)
from tests.refusals import refusal

ADDRESS = "https://example.org/network.pt"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A file as if it were at ADDRESS; the list of what was downloaded."""
    origin, downloads = write(tmp_path / "origin.pt", guided_state()), []

    def copied(address, path):
        downloads.append(address)
        shutil.copy(origin, path)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", copied)
    return origin, downloads


def digest_of(path):
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def _known(**changes):
    known = registry.PublishedNetwork(
        "small", "guided", (3, 16, 16), "linear", "noise", "MIT", ADDRESS
    )
    return dataclasses.replace(known, **changes)


def test_a_name_is_enough_to_calibrate(tmp_path, published, monkeypatch):
    origin, downloads = published
    known = _known(digest=digest_of(origin))
    monkeypatch.setitem(registry.NAMED, "small", known)
    with refusal("image_size"):
        load("small")
    preset = Preset(SMALL_GUIDED, SMALL_SETTINGS)
    monkeypatch.setattr(guided_diffusion, "PRESETS", (preset,))
    data, out = tmp_path / "images.npz", tmp_path / "c.safetensors"
    np.savez(data, images=np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8))
    arguments = ["calibrate", "small", "--data", str(data), "--at", "10,500", "--out", str(out)]
    main([*arguments, "--family", "guided", "--quiet"])
    assert out.is_file()
    assert downloads == [ADDRESS]
    with refusal("family: expected one of repaired"):
        main([*arguments, "--family", "magic", "--quiet"])


def test_a_hub_address_is_asked_of_the_hub(tmp_path, monkeypatch, pipeline):
    asked = []
    monkeypatch.setattr(loading, "download", lambda name, parts: asked.append(name) or pipeline)
    assert load("ddpm-cifar10").fingerprint == load(pipeline).fingerprint
    assert asked == ["google/ddpm-cifar10-32"]


def test_a_folder_called_like_a_name_is_meant_by_its_path(tmp_path, monkeypatch, pipeline):
    shutil.copytree(pipeline, tmp_path / "ddpm-cifar10")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loading, "download", lambda name, parts: pytest.fail("was fetched"))
    assert load("./ddpm-cifar10").shape == (3, 16, 16)


def test_names_of_no_checkpoint_are_refused():
    for reference in ("nowhere", "./nowhere", "a/b/c", "no body/no thing"):
        with refusal("expected 'digits', a name that", reference):
            load(reference)


def test_no_connection_is_one_line(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with refusal("Hub cannot be reached"):
        load("someone/something-that-is-not-cached")


def test_a_family_may_be_named(tmp_path):
    path = write(tmp_path / "small.ckpt", ddpm_state(), {"image_size": 16})
    assert load(path, family="ddpm").fingerprint == load(path).fingerprint
    with refusal(r"one of the families .*ddpm.*guided.*got 'magic'"):
        load(path, family="magic")


CONTENTS = {
    "ddpm": ddpm_state,
    "guided": guided_state,
    None: lambda: {"ema": torch.zeros(1), "model": {"sigmas": torch.zeros(1)}},
}


def test_a_named_family_must_recognize_what_it_loads(tmp_path, pipeline):
    """No family meets content that is not its own, so none has to expect it."""
    names = [family.name for family in FAMILIES]
    for own, make in CONTENTS.items():
        path = write(tmp_path / "some.pt", make(), SMALL_SETTINGS)
        for family in names:
            if family == own:
                assert load(path, family=family).family == own
                continue
            with refusal(f"of another family than {family}; it holds", (own, family)):
                load(path, family=family)
    for family in (name for name in names if not name.startswith("diffusers")):
        with refusal(f"of another family than {family}; it is a folder", family):
            load(pipeline, family=family)


def test_a_named_family_goes_before_others_that_recognize_the_same(tmp_path, monkeypatch):
    path = write(tmp_path / "small.ckpt", ddpm_state(), {"image_size": 16})
    usual = next(family for family in FAMILIES if family.name == "ddpm")
    other = dataclasses.replace(
        usual,
        name="other",
        load=lambda *given: dataclasses.replace(usual.load(*given), family="other"),
    )
    monkeypatch.setattr("real.checkpoints.loading.FAMILIES", (*FAMILIES, other))
    assert load(path).family == "ddpm"
    assert load(path, family="other").family == "other"


def test_shipped_network_is_small_and_says_how_it_was_made():
    folder = EMBEDDED["digits"]
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 5_000_000
    record, card = json.loads((folder / "training.json").read_text()), (folder / "README.md")
    assert record["seconds"] < 600
    for said in (f"--seed {record['recipe']['seed']}", f"{record['recipe']['steps']:,} steps"):
        assert said in card.read_text()


def test_families_have_names_of_their_own():
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)


def test_a_name_goes_before_a_folder_of_that_name(tmp_path, monkeypatch):
    shipped = load("digits").fingerprint
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load("digits").fingerprint == shipped
    with refusal("in digits, found neither"):
        load("./digits")
