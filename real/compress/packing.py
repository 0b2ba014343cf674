"""Whole numbers of few bits, packed without gaps: two per byte of 4 bits, eight per 3 bytes of 3."""

import numpy as np
import torch
from jaxtyping import Int8, UInt8
from torch import Tensor


def pack(codes: Int8[Tensor, "*shape"], bits: int) -> UInt8[Tensor, "byte"]:
    """Codes between -2^(bits-1) and 2^(bits-1) - 1 as bytes; the last one is filled with zeros."""
    unsigned = codes.cpu().numpy().reshape(-1).astype(np.int16) + 2 ** (bits - 1)
    of_each = (unsigned[:, None] >> np.arange(bits)) & 1
    return torch.from_numpy(np.packbits(of_each.astype(np.uint8), bitorder="little"))


def unpack(packed: UInt8[Tensor, "byte"], bits: int, count: int) -> Int8[Tensor, "count"]:
    """The codes that ``pack`` was given.

    Raises:
        ValueError: more or fewer bytes than so many codes take.
    """
    if len(packed) != -(-count * bits // 8):
        raise ValueError(f"{count} codes of {bits} bits do not fit {len(packed)} bytes")
    of_each = np.unpackbits(packed.numpy(), count=count * bits, bitorder="little")
    unsigned = of_each.reshape(count, bits).astype(np.int16) @ (1 << np.arange(bits))
    return torch.from_numpy((unsigned - 2 ** (bits - 1)).astype(np.int8))
