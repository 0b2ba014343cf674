"""Run a network of float32 in half precision, compiled, or with its channels last in memory."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from real.families.checkpoint import Checkpoint
from real.running.trial import trial
from theory.support.errors import InputError, one_line

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CODEC = "vae"
"""The module of a checkpoint that its predictions do not use."""


def in_dtype(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> Checkpoint:
    """The same network with its matrix products and convolutions in this type (torch.autocast).

    Weights, sums and norms stay in float32, as does arithmetic outside the layers, such as
    preconditioning. float32 leaves everything as it is. The prediction has the dtype of x_t.
    """
    if dtype == torch.float32:
        return checkpoint

    def predict(x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        """The prediction under autocast, in the dtype of x_t."""
        with torch.autocast(device.type, dtype):
            return checkpoint.predict(x_t, t, condition).to(x_t)

    return replace(checkpoint, predict=predict)


def channels_last(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with images and weights laid out channels last, which convolutions may like better.

    Its networks are changed in place; what they predict changes by rounding alone.

    Raises:
        InputError: its networks are not known, or it takes no images (c, h, w).
    """
    if not checkpoint.modules or len(checkpoint.shape) != 3:
        raise InputError(
            "channels-last: expected a torch module on images (c, h, w), "
            f"{checkpoint.reference} names none on {checkpoint.shape}"
        )
    for name, module in checkpoint.modules.items():
        if name != CODEC:
            module.to(memory_format=torch.channels_last)

    def predict(x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        """The prediction, from and to the usual layout."""
        laid_out = x_t.contiguous(memory_format=torch.channels_last)
        return checkpoint.predict(laid_out, t, condition).contiguous()

    return replace(checkpoint, predict=predict)


def compiled(checkpoint: Checkpoint, device: torch.device) -> Checkpoint:
    """The checkpoint after ``torch.compile`` of its networks, tried on two blank images.

    Raises:
        InputError: its networks are not known, or do not compile here.
    """
    if not checkpoint.modules:
        raise InputError(f"compile: expected a torch module, {checkpoint.reference} names none")
    for name, module in checkpoint.modules.items():
        if name != CODEC:
            module.compile()
    try:
        trial(checkpoint, 2, device)
    except (RuntimeError, ImportError, OSError) as error:
        raise InputError(f"compile: torch.compile does not work here: {one_line(error)}") from error
    return checkpoint
