"""Damaged networks: the weights of layers change, everything else and the original stay."""

import importlib.util
from dataclasses import replace

import pytest
import torch
from torch import nn

from real.checkpoints.reloading import damaged
from real.compress import Damage
from real.compress import torchao_formats as library
from real.compress.formats import weight_format
from real.compress.quantize import decode_into, encode_damaged, pruned
from theory.support.errors import InputError


def weights(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_pruning_takes_the_smallest_and_exactly_their_share():
    weight = weights(10, 10)
    left = pruned(weight, 0.3)
    assert (left == 0).sum() == 30
    assert weight[left == 0].abs().max() <= weight[left != 0].abs().min()
    assert torch.equal(left[left != 0], weight[left != 0])
    assert torch.equal(pruned(torch.ones(10), 0.5), torch.tensor([0.0] * 5 + [1.0] * 5))


def test_shares_and_formats_that_do_not_exist_are_refused():
    for share in (0.0, 1.0, -0.1):
        with pytest.raises(InputError, match="prune: expected a share between 0 and 1"):
            Damage(prune=share)
    with pytest.raises(InputError, match="quantize: expected one of int8"):
        Damage("int5")


def state(checkpoint):
    return {n: t.clone() for n, t in checkpoint.modules["unet"].state_dict().items()}


def test_only_weights_of_layers_change_and_only_in_the_copy(digits_checkpoint):
    before, x, t = state(digits_checkpoint), weights(2, 1, 8, 8), torch.tensor([9, 9])
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


def test_what_is_no_layer_or_does_not_denoise_is_kept(digits_checkpoint):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.classes, self.norm = nn.Embedding(4, 3), nn.LayerNorm((3, 3))
            self.up, self.W = nn.ConvTranspose1d(2, 5, 3), nn.Parameter(torch.randn(4, 6))

    with torch.random.fork_rng(devices=[]):
        network, vae = Network(), nn.Linear(3, 3)
    checkpoint = replace(digits_checkpoint, modules={"unet": network, "vae": vae})
    stored = encode_damaged(checkpoint, Damage("int4"))
    assert not any(name.startswith("vae") for name in stored)
    rounded = {name for name, parts in stored.items() if "codes" in parts}
    assert rounded == {"unet.up.weight", "unet.W"}
    assert stored["unet.up.weight"]["scale"].shape == (5,)
    assert stored["unet.W"]["scale"].shape == (6,)


def test_a_checkpoint_without_networks_is_refused(digits_checkpoint):
    with pytest.raises(InputError, match="no network that can be changed"):
        damaged(replace(digits_checkpoint, modules={}), Damage("int8"))


def test_weights_of_another_network_are_refused(digits_checkpoint):
    stored = encode_damaged(digits_checkpoint, Damage("int8"))
    stored.pop("unet.conv_in.bias")
    with pytest.raises(InputError, match=r"differ in unet\.conv_in\.bias"):
        decode_into(digits_checkpoint, Damage("int8"), stored)


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
    with pytest.raises(InputError, match="torchao-int8 needs torchao, which is not installed"):
        damaged(digits_checkpoint, Damage("torchao-int8"))
