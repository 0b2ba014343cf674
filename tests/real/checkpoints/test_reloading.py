"""Damaged networks: the weights of layers change, everything else and the original stay."""

import importlib.util
from dataclasses import replace

import pytest
import torch
from torch import nn

from real.checkpoints import reloading
from real.checkpoints.reloading import damaged
from real.compress import Damage
from real.compress import torchao_formats as library
from real.compress.formats import weight_format
from tests.refusals import refusal


def state(checkpoint):
    return {n: t.clone() for n, t in checkpoint.modules["unet"].state_dict().items()}


def test_only_weights_of_layers_change_and_only_in_the_copy(digits_checkpoint):
    before, x, t = state(digits_checkpoint), torch.ones(2, 1, 8, 8), torch.tensor([9, 9])
    for damage in (Damage("int3"), Damage("fp8", 0.5), Damage(prune=0.2)):
        network = damaged(digits_checkpoint, damage)
        assert all(torch.equal(t, before[n]) for n, t in state(digits_checkpoint).items()), damage
        for name, tensor in state(network).items():
            layer = name.endswith("weight") and tensor.dim() >= 2
            assert torch.equal(tensor, before[name]) != layer, (damage, name)
        assert not torch.equal(network.predict(x, t), digits_checkpoint.predict(x, t)), damage
        assert str(damage) in network.reference


def test_every_damage_has_a_fingerprint_of_its_own_and_always_the_same(digits_checkpoint):
    damages = [Damage("int8"), Damage("int4"), Damage("int4", 0.5), Damage(prune=0.5)]
    prints = [damaged(digits_checkpoint, d).fingerprint for d in damages]
    assert len({*prints, digits_checkpoint.fingerprint}) == 5
    assert damaged(digits_checkpoint, damages[1]).fingerprint == prints[1]


def test_a_copy_is_loaded_as_what_the_checkpoint_was_loaded_as(digits_checkpoint, monkeypatch):
    asked, cpu = [], torch.device("cpu")
    monkeypatch.setattr(reloading, "load", lambda *given: asked.append(given) or digits_checkpoint)
    for family in ("diffusers-unet", "my own"):
        reloading.reloaded(replace(digits_checkpoint, family=family))
    assert asked == [("digits", cpu, "diffusers-unet"), ("digits", cpu, None)]
    with refusal("^checkpoint: digits is no longer the one that was loaded$"):
        reloading.reloaded(replace(digits_checkpoint, fingerprint="other"))


def test_a_checkpoint_without_networks_is_refused(digits_checkpoint):
    with refusal("no network that can be changed"):
        damaged(replace(digits_checkpoint, modules={}), Damage("int8"))


needs_torchao = pytest.mark.skipif(
    importlib.util.find_spec("torchao") is None, reason="torchao is not installed"
)


@needs_torchao
@pytest.mark.parametrize("name", sorted(library.NAMES))
def test_the_library_rounds_linear_layers_as_we_do(digits_checkpoint, name):
    network = damaged(digits_checkpoint, Damage(name))
    format_ = weight_format(name.removeprefix(library.PREFIX))
    for path, layer in digits_checkpoint.modules["unet"].named_modules():
        other = network.modules["unet"].get_submodule(path)
        if isinstance(layer, nn.Linear):
            ours, theirs = format_.rounded(layer.weight), library.dequantized(other.weight)
            step = layer.weight.abs().amax(1, keepdim=True) / 7 if "4" in name else 0.05
            assert ((ours - theirs).abs() <= step * 1.01).all()
            assert not torch.equal(theirs, layer.weight)


@pytest.mark.skipif(importlib.util.find_spec("torchao") is not None, reason="torchao is installed")
def test_without_the_library_one_line_says_so(digits_checkpoint):
    with refusal("torchao-int8 needs torchao, which is not installed"):
        damaged(digits_checkpoint, Damage("torchao-int8"))
