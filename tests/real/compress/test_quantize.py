"""Pruning takes the smallest weights; only the weights of layers that denoise are encoded."""

from dataclasses import replace

import torch
from torch import nn

from real.compress import Damage
from real.compress.quantize import decode_into, encode_damaged, pruned
from tests.refusals import refusal


def weights(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_pruning_takes_the_smallest_and_exactly_their_share():
    weight = weights(10, 10)
    left = pruned(weight, 0.3)
    assert (left == 0).sum() == 30
    assert weight[left == 0].abs().max() <= weight[left != 0].abs().min()
    assert torch.equal(left[left != 0], weight[left != 0])
    assert torch.equal(pruned(torch.ones(10), 0.5), torch.tensor([0.0] * 5 + [1.0] * 5))
    for share, zeros in ((0.27, 3), (0.23, 2), (0.99, 10), (0.01, 0)):
        assert (pruned(torch.ones(10), share) == 0).sum() == zeros


def test_shares_and_formats_that_do_not_exist_are_refused():
    for share in (0.0, 1.0, -0.1):
        with refusal("prune: expected a share between 0 and 1"):
            Damage(prune=share)
    with refusal("quantize: expected one of int8"):
        Damage("int5")


def test_what_is_no_layer_or_does_not_denoise_is_kept(digits_checkpoint):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.classes, self.norm = nn.Embedding(4, 3), nn.LayerNorm((3, 3))
            self.up, self.W = nn.ConvTranspose1d(2, 5, 3), nn.Parameter(torch.randn(4, 6))

    with torch.random.fork_rng(devices=[]):
        network, other = Network(), nn.Linear(3, 3)
    kept = dict.fromkeys(("vae", "text", "text_encoder_2"), other)
    checkpoint = replace(digits_checkpoint, modules={"unet": network, **kept})
    stored = encode_damaged(checkpoint, Damage("int4"))
    assert all(name.startswith("unet.") for name in stored)
    rounded = {name for name, parts in stored.items() if "codes" in parts}
    assert rounded == {"unet.up.weight", "unet.W"}
    assert stored["unet.up.weight"]["scale"].shape == (5,)
    assert stored["unet.W"]["scale"].shape == (6,)


def test_weights_of_another_network_are_refused(digits_checkpoint):
    stored = encode_damaged(digits_checkpoint, Damage("int8"))
    stored.pop("unet.conv_in.bias")
    with refusal(r"differ in unet\.conv_in\.bias"):
        decode_into(digits_checkpoint, Damage("int8"), stored)
