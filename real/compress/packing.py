"""Pack whole numbers of few bits without gaps: two of 4 bits per byte, eight of 3 bits per 3 bytes."""

import numpy as np
import torch
from jaxtyping import Int8, UInt8
from torch import Tensor


def pack(codes: Int8[Tensor, "*shape"], bits: int) -> UInt8[Tensor, "byte"]:
    """Codes between -2^(bits-1) and 2^(bits-1) - 1 as bytes; the last byte is filled with zeros."""
    unsigned = codes.cpu().numpy().reshape(-1).astype(np.int16) + 2 ** (bits - 1)
    of_each = (unsigned[:, None] >> np.arange(bits)) & 1
    return torch.from_numpy(np.packbits(of_each.astype(np.uint8), bitorder="little"))


def unpack(packed: UInt8[Tensor, "byte"], bits: int, count: int) -> Int8[Tensor, "count"]:
    """The codes that ``pack`` was given.

    Raises:
        ValueError: the number of bytes is not that of so many codes.
    """
    if len(packed) != -(-count * bits // 8):
        raise ValueError(f"{count} codes of {bits} bits do not fit {len(packed)} bytes")
    of_each = np.unpackbits(packed.numpy(), count=count * bits, bitorder="little")
    unsigned = of_each.reshape(count, bits).astype(np.int16) @ (1 << np.arange(bits))
    return torch.from_numpy((unsigned - 2 ** (bits - 1)).astype(np.int8))
