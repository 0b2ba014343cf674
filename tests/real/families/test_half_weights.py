"""Weights of blocks stay in the half precision that holds them, and nothing computes in it."""

import copy

import torch
from torch import nn

from real.families.diffusers.half_weights import keep_halves

LARGE = 2.0**17
"""A number of bfloat16 that float16 does not reach."""


class Network(nn.Module):
    """Blocks between a first and a last layer."""

    def __init__(self, values):
        super().__init__()
        self.first, self.last = nn.Linear(2, 2), nn.Linear(2, 2)
        self.blocks = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in values)
        self.register_buffer("scale", torch.ones(1, dtype=torch.float64))
        for block, value in zip(self.blocks, values, strict=True):
            nn.init.constant_(block.weight, value)

    def forward(self, x):
        for block in (self.first, *self.blocks, self.last):
            x = block(x)
        return x


def test_weights_of_blocks_are_kept_in_the_first_half_that_holds_them_exactly():
    with torch.random.fork_rng(devices=[]):
        network = Network([0.5, LARGE, 0.1])
        network.blocks.append(nn.Linear(2, 2, bias=False).half())
    network.first.half()
    whole = copy.deepcopy(network).float()
    keep_halves(network, "cpu")
    x = torch.ones(1, 2)
    stored = [torch.float16, torch.bfloat16, torch.float32, torch.float16]
    assert [block.weight.dtype for block in network.blocks] == stored
    assert {p.dtype for part in (network.first, network.last) for p in part.parameters()} == {
        torch.float32
    }
    assert network.scale.dtype == torch.float32
    assert torch.equal(network(x), whole(x)) and network(x).dtype == torch.float32
    assert [block.weight.dtype for block in network.blocks] == stored
