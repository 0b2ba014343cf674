"""Number formats of weights: how weights are encoded, and what decoding returns.

Integers are symmetric and rounded to nearest, with one scale per output channel:

    code = round(w / scale),    scale = max |w| / (2^(bits-1) - 1),    w' = code scale,

so that |w' - w| <= scale / 2. fp8 (e4m3) has a scale per output channel too, max |w| / 448; half
precision has none. All weights are (out, ...).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from real.compress.packing import pack, unpack

Parts = Mapping[str, Tensor]
"""The tensors that encode one weight, by name."""

FP8 = torch.float8_e4m3fn


@dataclass(frozen=True)
class Format:
    """A way to encode weights.

    Attributes:
        name: as ``--quantize`` takes it.
        encode: weights (out, ...) -> the tensors that encode them.
        decode: these tensors, and the shape of the weights -> float32 weights.
    """

    name: str
    encode: Callable[[Tensor], Parts]
    decode: Callable[[Parts, tuple[int, ...]], Tensor]

    def rounded(self, weight: Float[Tensor, "*shape"]) -> Float32[Tensor, "*shape"]:
        """decode(encode(w)), the rounded weights."""
        return self.decode(self.encode(weight), tuple(weight.shape))


def _scales(weight: Tensor, largest: int | float) -> Float32[Tensor, "out"]:
    """The scale of each output channel; 1 where all its weights are zero."""
    most = weight.float().flatten(1).abs().amax(1)
    return torch.where(most > 0, most / largest, 1.0)


def _along(scale: Tensor, shape: tuple[int, ...]) -> Tensor:
    return scale.reshape(-1, *(1 for _ in shape[1:]))


def _encode_integers(weight: Tensor, bits: int) -> Parts:
    most = 2 ** (bits - 1) - 1
    scale = _scales(weight, most)
    codes = (weight.float() / _along(scale, tuple(weight.shape))).round().clamp(-most, most)
    return {"codes": pack(codes.to(torch.int8), bits), "scale": scale}


def _decode_integers(parts: Parts, shape: tuple[int, ...], bits: int) -> Tensor:
    codes = unpack(parts["codes"], bits, math.prod(shape)).reshape(shape)
    return codes.float() * _along(parts["scale"], shape)


def _encode_fp8(weight: Tensor) -> Parts:
    scale = _scales(weight, torch.finfo(FP8).max)
    scaled = weight.float() / _along(scale, tuple(weight.shape))
    return {"codes": scaled.clamp(-torch.finfo(FP8).max, torch.finfo(FP8).max).to(FP8),
            "scale": scale}  # fmt: skip


def _decode_fp8(parts: Parts, shape: tuple[int, ...]) -> Tensor:
    return parts["codes"].float() * _along(parts["scale"], shape)


def _integers(bits: int) -> Format:
    return Format(
        f"int{bits}", partial(_encode_integers, bits=bits), partial(_decode_integers, bits=bits)
    )


def _cast(name: str, dtype: torch.dtype) -> Format:
    return Format(name, lambda w: {"codes": w.to(dtype)}, lambda parts, _: parts["codes"].float())


WHOLE = _cast("float32", torch.float32)
"""The format that loses nothing."""

FORMATS = {
    format.name: format
    for format in (
        _integers(8), _integers(4), _integers(3), Format("fp8", _encode_fp8, _decode_fp8),
        _cast("float16", torch.float16), _cast("bfloat16", torch.bfloat16),
    )
}  # fmt: skip


def weight_format(name: str | None) -> Format:
    """The format of that name; the one that loses nothing for None."""
    return WHOLE if name is None else FORMATS[name]
