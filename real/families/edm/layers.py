"""Layers of EDM's two U-Nets (Karras et al. 2022, appendix F.1).

Biases are added after the product, as upstream does, so that even rounding agrees.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from real.families.resampling import Direction, filtered, resampled


class Dense(nn.Module):
    """A linear layer."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None

    def forward(self, x: Float[Tensor, "b n"]) -> Float[Tensor, "b m"]:
        """x W^T + b, in the dtype of x."""
        x = x @ self.weight.to(x.dtype).t()
        return x if self.bias is None else x + self.bias.to(x.dtype)


class FilterResampling(nn.Module):
    """Resampling by two with a filter, which the file holds."""

    resample_filter: Tensor

    def __init__(self, direction: Direction, taps: Sequence[float | int]) -> None:
        super().__init__()
        self.direction = direction
        self.register_buffer("resample_filter", torch.empty(1, 1, len(taps), len(taps)))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """x at twice or half the height and width."""
        return resampled(x, self.direction, self.resample_filter)


class Convolution(nn.Module):
    """Convolution with an odd kernel, which keeps height and width."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(out_channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """w * x + b, in the dtype of x."""
        return self._biased(self._convolved(x, extra=0))

    def _convolved(self, x: Tensor, extra: int) -> Tensor:
        padding = self.weight.shape[-1] // 2 + extra
        return F.conv2d(x, self.weight.to(x.dtype), padding=padding)

    def _biased(self, x: Tensor) -> Tensor:
        return x + self.bias.to(x.dtype).reshape(1, -1, 1, 1)


class ResampledConvolution(Convolution):
    """Resampling by two, then convolution."""

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        direction: Direction,
        taps: Sequence[float | int],
    ) -> None:
        super().__init__(in_channels, out_channels, kernel)
        self.direction = direction
        self.register_buffer("resample_filter", torch.empty(1, 1, len(taps), len(taps)))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """w * resampled(x) + b."""
        return super().forward(resampled(x, self.direction, self.resample_filter))


class FusedDownConvolution(ResampledConvolution):
    """Convolution, then down by two, with all padding in front of both: NCSN++'s residual input."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, taps: Sequence[float | int]
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, "down", taps)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """downsampled(w * x) + b."""
        x = self._convolved(x, extra=(self.resample_filter.shape[-1] - 1) // 2)
        return self._biased(filtered(x, self.resample_filter, stride=2))


class GroupNorm(nn.Module):
    """Group normalization in at most 32 groups of at least 4 channels."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.groups, self.eps = min(32, channels // 4), eps
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """x normalized within groups, scaled and shifted by channel."""
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return F.group_norm(x, self.groups, weight, bias, self.eps)


class PositionalEmbedding(nn.Module):
    """Cosines and sines of t at n/2 frequencies from 1 down to about 1/10000."""

    def __init__(self, channels: int, endpoint: bool = False) -> None:
        super().__init__()
        self.count, self.last = channels // 2, channels // 2 - int(endpoint)

    def forward(self, t: Float[Tensor, "b"]) -> Float[Tensor, "b n"]:
        """(cos(f t), sin(f t)) over the frequencies f."""
        steps = torch.arange(self.count, dtype=torch.float32, device=t.device) / self.last
        return _waves(t, (1 / 10000) ** steps)


class FourierEmbedding(nn.Module):
    """Cosines and sines of t at n/2 random frequencies, which the file holds."""

    freqs: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("freqs", torch.empty(channels // 2))

    def forward(self, t: Float[Tensor, "b"]) -> Float[Tensor, "b n"]:
        """(cos(2 pi f t), sin(2 pi f t)) over the frequencies f."""
        return _waves(t, 2 * math.pi * self.freqs.to(torch.float32))


def _waves(t: Tensor, frequencies: Tensor) -> Tensor:
    angles = torch.outer(t, frequencies)
    return torch.cat([angles.cos(), angles.sin()], 1)


@dataclass(frozen=True)
class BlockStyle:
    """How the blocks of the two U-Nets differ.

    Attributes:
        eps: of group normalization.
        skip_scale: factor of every sum of two branches.
        adaptive_scale: whether the embedding scales and shifts, or only shifts.
        taps: resampling filter.
        resample_projected: whether a resampled skip is always projected.
        heads: of attention; None is one for every 64 channels.
    """

    eps: float
    skip_scale: float
    adaptive_scale: bool
    taps: tuple[float | int, ...]
    resample_projected: bool
    heads: int | None


class UNetBlock(nn.Module):
    """Two convolutions modulated by an embedding, a skip, and self-attention if asked for."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        emb_channels: int,
        style: BlockStyle,
        resample: Direction | None = None,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.style = style
        heads = out_channels // 64 if style.heads is None else style.heads
        self.heads = heads if attention else 0
        eps, taps = style.eps, style.taps
        self.norm0 = GroupNorm(in_channels, eps)
        self.conv0 = (
            ResampledConvolution(in_channels, out_channels, 3, resample, taps)
            if resample
            else Convolution(in_channels, out_channels, 3)
        )
        self.affine = Dense(emb_channels, out_channels * (1 + int(style.adaptive_scale)))
        self.norm1 = GroupNorm(out_channels, eps)
        self.conv1 = Convolution(out_channels, out_channels, 3)
        self.skip = self._skip(in_channels, out_channels, resample)
        if self.heads:
            self.norm2 = GroupNorm(out_channels, eps)
            self.qkv = Convolution(out_channels, 3 * out_channels, 1)
            self.proj = Convolution(out_channels, out_channels, 1)

    def _skip(
        self, in_channels: int, out_channels: int, resample: Direction | None
    ) -> nn.Module | None:
        same, taps = in_channels == out_channels, self.style.taps
        if resample and same and not self.style.resample_projected:
            return FilterResampling(resample, taps)
        if resample:
            return ResampledConvolution(in_channels, out_channels, 1, resample, taps)
        return None if same else Convolution(in_channels, out_channels, 1)

    def forward(
        self, x: Float[Tensor, "b c h w"], emb: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b c2 h2 w2"]:
        """skip(x) + the convolutions of x, modulated by the embedding; then attention."""
        hidden = self.conv0(F.silu(self.norm0(x)))
        hidden = self.conv1(F.silu(self._modulated(hidden, emb)))
        skipped = x if self.skip is None else self.skip(x)
        x = (hidden + skipped) * self.style.skip_scale
        if self.heads:
            x = (self.proj(self._attended(self.norm2(x))) + x) * self.style.skip_scale
        return x

    def _modulated(self, x: Tensor, emb: Tensor) -> Tensor:
        modulation = self.affine(emb)[:, :, None, None].to(x.dtype)
        if not self.style.adaptive_scale:
            return self.norm1(x + modulation)
        scale, shift = modulation.chunk(2, 1)
        return shift + self.norm1(x) * (scale + 1)

    def _attended(self, x: Tensor) -> Tensor:
        b, c = x.shape[:2]
        q, k, v = self.qkv(x).reshape(b * self.heads, c // self.heads, 3, -1).unbind(2)
        k = k / math.sqrt(c // self.heads)
        weights = torch.einsum("ncq,nck->nqk", q.float(), k.float()).softmax(2).to(q.dtype)
        return torch.einsum("nqk,nck->ncq", weights, v).reshape(x.shape)
