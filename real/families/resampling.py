"""Resampling by two with a separable FIR filter, as the networks of EDM and score_sde do it."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Direction = Literal["up", "down"]


def separable(taps: Sequence[float | int]) -> Float[Tensor, "1 1 n n"]:
    """The normalized outer product of an even number of taps with themselves."""
    line = torch.tensor(tuple(taps), dtype=torch.float32, device="cpu")
    return (torch.outer(line, line) / line.sum().square())[None, None]


def downsample(
    x: Float[Tensor, "b c h w"], kernel: Float[Tensor, "1 1 n n"]
) -> Float[Tensor, "b c h//2 w//2"]:
    """Filter, then keep every second pixel; pixels outside are zero."""
    return filtered(x, kernel, stride=2, padding=(kernel.shape[-1] - 1) // 2)


def upsample(
    x: Float[Tensor, "b c h w"], kernel: Float[Tensor, "1 1 n n"]
) -> Float[Tensor, "b c 2*h 2*w"]:
    """Put zeros between the pixels, then filter with four times the weight."""
    channels, padding = x.shape[1], (kernel.shape[-1] - 1) // 2
    each = _for_each_channel(4 * kernel, x)
    return F.conv_transpose2d(x, each, groups=channels, stride=2, padding=padding)


def resampled(
    x: Float[Tensor, "b c h w"], direction: Direction, kernel: Float[Tensor, "1 1 n n"]
) -> Float[Tensor, "b c h2 w2"]:
    """``upsample`` or ``downsample``, as the direction says."""
    return (upsample if direction == "up" else downsample)(x, kernel)


def filtered(
    x: Float[Tensor, "b c h w"], kernel: Float[Tensor, "1 1 n n"], stride: int = 1, padding: int = 0
) -> Float[Tensor, "b c h2 w2"]:
    """Filter every channel, with so many zeros on each side."""
    each = _for_each_channel(kernel, x)
    return F.conv2d(x, each, groups=x.shape[1], stride=stride, padding=padding)


def _for_each_channel(kernel: Tensor, x: Tensor) -> Tensor:
    return kernel.to(x).expand(x.shape[1], -1, -1, -1)
