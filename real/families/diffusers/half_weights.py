"""Keep weights in the half precision of their file, in networks that compute in float32.

A text encoder is called once for each text, and is the largest part of some pipelines: T5-XXL takes
10 GB in the half precision of its file, and 19 GB in float32.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

HALVES = (torch.float16, torch.bfloat16)


def keep_halves(network: nn.Module, device: Any) -> None:
    """Move a frozen network to a device in float32, except for the weights of its blocks.

    A block is an entry of a ``ModuleList``. Its weights stay in half precision if that holds them
    exactly, and are float32 while the block is called: the network's results are those of float32.
    """
    for block in _blocks(network):
        for weight in block.parameters():
            weight.data = _halved(weight.data)
        block.register_forward_pre_hook(torch.compiler.disable(_widen))
        block.register_forward_hook(torch.compiler.disable(_restore), always_call=True)
    kept = {id(weight) for block in _blocks(network) for weight in block.parameters()}
    for weight in network.parameters():
        wide = weight.dtype if id(weight) in kept else torch.float32
        weight.data = weight.data.to(device, wide)
    for buffer in network.buffers():
        buffer.data = buffer.data.to(device, torch.float32 if buffer.is_floating_point() else None)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The entries of the outermost ``ModuleList``s."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _blocks(child)


def _halved(weight: Tensor) -> Tensor:
    """The weight in half precision if that holds it exactly, else in float32."""
    for half in HALVES:
        if weight.dtype == half or torch.equal(weight.to(half).to(weight), weight):
            return weight.to(half)
    return weight.float()


def _widen(block: nn.Module, _: Any) -> None:
    stored = block.__dict__["stored"] = {weight: weight.data for weight in block.parameters()}
    for weight, data in stored.items():
        weight.data = data.float()


def _restore(block: nn.Module, *_: Any) -> None:
    for weight, data in block.__dict__.pop("stored", {}).items():
        weight.data = data
