"""Folders of repaired networks: what is saved loads as it was; what does not fit is refused."""

import importlib.util
import json

import pytest
import torch

from real.checkpoints import load, loading
from real.checkpoints.reloading import damaged
from real.cli import main
from real.compress import Damage
from real.compress import repaired_folder as folder
from tests.refusals import refusal
from theory.forward.fingerprints import fingerprint


def state(checkpoint):
    return checkpoint.modules["unet"].state_dict()


@pytest.fixture
def saved(tmp_path, digits_checkpoint):
    damage = Damage("int4")
    network = damaged(digits_checkpoint, damage)
    folder.save_repaired(tmp_path, digits_checkpoint, damage, network)
    return tmp_path, network


def test_a_saved_network_is_small_and_loads_as_it_was(saved, digits_checkpoint):
    path, network = saved
    parameters = digits_checkpoint.modules["unet"].num_parameters()
    assert (path / folder.NETWORK).stat().st_size < 0.65 * parameters  # 4 bits, scales, biases
    loaded = load(path)
    assert (loaded.family, loaded.reference) == ("repaired", str(path))
    assert loaded.fingerprint == network.fingerprint
    assert all(torch.equal(t, state(network)[n]) for n, t in state(loaded).items())
    assert fingerprint(state(load("digits")).items()) == fingerprint(
        state(digits_checkpoint).items()
    )


def test_the_user_may_restore_it_onto_a_loaded_original(saved):
    from real import restored
    from real.damage import folder as old_path

    path, network = saved
    assert restored is folder.restored is old_path.restored
    made = restored(path, load("digits"))
    assert made.fingerprint == network.fingerprint
    assert (made.reference, made.family) == (str(path), "repaired")


def test_a_folder_that_does_not_fit_is_refused(saved):
    manifest = (saved[0] / folder.MANIFEST).read_text()
    for changes, said in (
        ({"original_fingerprint": "0"}, "was made from another digits"),
        ({"fingerprint": "0"}, "is not what repaired.json says"),
        ({"prune": 0.5}, "is not what repaired.json says"),
        ({"quantize": "int8"}, "is broken"),
        ({"quantize": "float64"}, "quantize: expected one of"),
        ({"format": "other"}, "expected 'diffusion-martingale repaired network 1'"),
        ({"more": 1}, "cannot be read as a manifest"),
    ):
        (saved[0] / folder.MANIFEST).write_text(json.dumps(json.loads(manifest) | changes))
        with refusal(said, changes):
            load(saved[0])


def test_the_original_is_sought_in_the_family_that_the_folder_names(saved, monkeypatch):
    recognizing, tried = loading._recognizing, []

    def watched(source, among):
        tried.append([family.name for family in among])
        return recognizing(source, among)

    monkeypatch.setattr(loading, "_recognizing", watched)
    manifest = json.loads((saved[0] / folder.MANIFEST).read_text())
    every = [family.name for family in loading.FAMILIES]
    for family, among in ((None, every), ("diffusers-unet", ["diffusers-unet"])):
        (saved[0] / folder.MANIFEST).write_text(json.dumps(manifest | {"family": family}))
        load(saved[0])
        assert tried.pop() == among


def test_broken_weights_are_refused(saved):
    for content in (None, b"", b"\x08\0\0\0\0\0\0\0{}"):
        (saved[0] / folder.NETWORK).unlink()
        if content is not None:
            (saved[0] / folder.NETWORK).write_bytes(content)
        with refusal("checkpoint: ", content):
            load(saved[0])
        (saved[0] / folder.NETWORK).touch()


@pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="torchao is not installed")
def test_what_the_library_made_is_made_again_when_loaded(tmp_path, digits_checkpoint):
    damage = Damage("torchao-int8", 0.5)
    network = damaged(digits_checkpoint, damage)
    folder.save_repaired(tmp_path, digits_checkpoint, damage, network)
    assert not (tmp_path / folder.NETWORK).exists()
    assert load(tmp_path).fingerprint == network.fingerprint


def test_what_is_repaired_is_not_repaired_again(saved, tmp_path):
    arguments = ["repair", str(saved[0]), "--quantize", "int8", "--images", "8", "--quiet"]
    with refusal("repair: .* is repaired already; name its original"):
        main([*arguments, "--out", str(tmp_path / "again")])
