"""Weight-only quantization of linear layers by torchao (optional), which diffusers runs.

Its result is not stored but made again from the original, with the same numbers.
"""

from typing import Any

import torch
from torch import Tensor, nn

from theory.support.errors import InputError

PREFIX = "torchao-"
TYPES = {f"{PREFIX}{name}": getattr(torch, name) for name in ("int8", "int4")}
NAMES = tuple(TYPES)


def quantize(network: Any, name: str) -> None:
    """Quantize a network's linear layers in place, symmetric, with one scale per output channel.

    Raises:
        InputError: torchao is not installed.
    """
    try:
        from torchao.quantization import IntxWeightOnlyConfig, PerAxis, quantize_
    except ImportError as error:
        raise InputError(
            f"quantize: {name} needs torchao, which is not installed (pip install torchao)"
        ) from error
    quantize_(network, IntxWeightOnlyConfig(weight_dtype=TYPES[name], granularity=PerAxis(0)))


def dequantized(tensor: Tensor) -> Tensor:
    """The values of a tensor, quantized by the library or not."""
    return tensor if type(tensor) in (Tensor, nn.Parameter) else tensor.dequantize()
