"""The networks NCSN++ and DDPM++ of score_sde (Song et al. 2021), with BigGAN's residual blocks.

Layers stand in one list, in the order of their use, with the names of the published code.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from real.families.resampling import (
    Direction,
    downsample,
    filtered,
    resampled,
    separable,
    upsample,
)

EPS = 1e-6


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalization in at most 32 groups of at least 4 channels."""
    return nn.GroupNorm(min(channels // 4, 32), channels, eps=EPS)


def _joined(x: Tensor, y: Tensor, rescale: bool) -> Tensor:
    return (x + y) / math.sqrt(2) if rescale else x + y


class GaussianFourier(nn.Module):
    """Random Fourier features, whose n frequencies the file holds."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.empty(n), requires_grad=False)

    def forward(self, t: Float[Tensor, "b"]) -> Float[Tensor, "b m"]:
        """(sin(2 pi w t), cos(2 pi w t)) over the frequencies w."""
        angles = t[:, None] * self.W.to(t.dtype) * 2 * math.pi
        return torch.cat([angles.sin(), angles.cos()], 1)


def positional(t: Tensor, channels: int) -> Tensor:
    """Sines and cosines of t (b,) at n/2 frequencies from 1 to 1/10000: (b, n)."""
    half = channels // 2
    steps = torch.arange(half, dtype=torch.float32, device=t.device)
    angles = t[:, None] * torch.exp(steps * -(math.log(10000) / (half - 1)))
    return torch.cat([angles.sin(), angles.cos()], 1)


class NIN(nn.Module):
    """A 1 x 1 convolution with weights (in, out)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.empty(in_channels, out_channels))
        self.b = nn.Parameter(torch.empty(out_channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h w"]:
        """W^T x + b at every pixel."""
        return torch.einsum("bchw,cd->bdhw", x, self.W) + self.b[:, None, None]


class PixelAttention(nn.Module):
    """Self-attention over the pixels, with one head."""

    def __init__(self, channels: int, rescale: bool) -> None:
        super().__init__()
        self.rescale = rescale
        self.GroupNorm_0 = group_norm(channels)
        self.NIN_0 = NIN(channels, channels)
        self.NIN_1 = NIN(channels, channels)
        self.NIN_2 = NIN(channels, channels)
        self.NIN_3 = NIN(channels, channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """x + W_3 softmax(q k^T / sqrt(c)) v, perhaps over sqrt(2)."""
        h = self.GroupNorm_0(x)
        q, k, v = (layer(h).flatten(2) for layer in (self.NIN_0, self.NIN_1, self.NIN_2))
        weights = (torch.einsum("bcq,bck->bqk", q, k) * x.shape[1] ** -0.5).softmax(2)
        h = torch.einsum("bqk,bck->bcq", weights, v).reshape(x.shape)
        return _joined(x, self.NIN_3(h), self.rescale)


class ResidualBlock(nn.Module):
    """BigGAN's residual block: both branches are resampled before they are convolved."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        emb_channels: int,
        rescale: bool,
        taps: Sequence[float | int],
        resample: Direction | None = None,
    ) -> None:
        super().__init__()
        self.rescale, self.taps, self.resample = rescale, tuple(taps), resample
        self.GroupNorm_0 = group_norm(in_channels)
        self.Conv_0 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.Dense_0 = nn.Linear(emb_channels, out_channels)
        self.GroupNorm_1 = group_norm(out_channels)
        self.Conv_1 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        projected = resample or in_channels != out_channels
        self.Conv_2 = nn.Conv2d(in_channels, out_channels, 1) if projected else None

    def forward(
        self, x: Float[Tensor, "b c h w"], emb: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b c2 h2 w2"]:
        """skip(x) + the convolutions of x, to which the embedding is added; perhaps over sqrt(2)."""
        h = self.Conv_0(self._resampled(F.silu(self.GroupNorm_0(x))))
        h = h + self.Dense_0(F.silu(emb))[:, :, None, None]
        h = self.Conv_1(F.silu(self.GroupNorm_1(h)))
        return _joined(h, self._projected(self._resampled(x)), self.rescale)

    def _projected(self, x: Tensor) -> Tensor:
        return x if self.Conv_2 is None else self.Conv_2(x)

    def _resampled(self, x: Tensor) -> Tensor:
        return resampled(x, self.resample, separable(self.taps)) if self.resample else x


class FilteredConvolution(nn.Module):
    """A filter, then a convolution with stride 2."""

    def __init__(self, in_channels: int, out_channels: int, taps: Sequence[float | int]) -> None:
        super().__init__()
        self.taps = tuple(taps)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.empty(out_channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        """w * filtered(x) + b at every second pixel."""
        smooth = filtered(x, separable(self.taps), padding=len(self.taps) // 2)
        return F.conv2d(smooth, self.weight, self.bias, stride=2)


class Combine(nn.Module):
    """Joins a level of the input pyramid to the features: projects it, then adds or concatenates."""

    def __init__(self, in_channels: int, out_channels: int, method: Literal["sum", "cat"]) -> None:
        super().__init__()
        self.method = method
        self.Conv_0 = nn.Conv2d(in_channels, out_channels, 1)

    def forward(
        self, pyramid: Float[Tensor, "b c h w"], x: Float[Tensor, "b c2 h w"]
    ) -> Float[Tensor, "b c3 h w"]:
        """proj(pyramid) + x, or the channels of both."""
        projected = self.Conv_0(pyramid)
        return projected + x if self.method == "sum" else torch.cat([projected, x], 1)


class NCSNpp(nn.Module):
    """h(x, label) of images (b, channels, r, r) in [-1, 1], of their own shape.

    Args:
        image_size, num_channels: of images.
        num_scales: length of the table ``sigmas``, which the file holds.
        nf, ch_mult: width, and its factor at each level.
        num_res_blocks, attn_resolutions: blocks at each level, and where they attend.
        taps: of up- and downsampling; (1, 3, 3, 1) in NCSN++, (1, 1) in DDPM++.
        skip_rescale: whether sums of two branches are divided by sqrt(2).
        embedding_type: "fourier" takes log(label), "positional" the label itself.
        progressive: the output of the last level ("none"), or the sum over all ("output_skip").
        progressive_input: how the resampled input enters every level; "none" if it does not.
        progressive_combine: how "input_skip" joins it to the features.
        scale_by_sigma: whether the output is divided by the noise level.
    """

    sigmas: Tensor

    def __init__(
        self,
        image_size: int,
        num_channels: int,
        num_scales: int,
        nf: int,
        ch_mult: Sequence[int],
        num_res_blocks: int,
        attn_resolutions: Sequence[int],
        taps: Sequence[float | int],
        skip_rescale: bool,
        embedding_type: Literal["fourier", "positional"],
        progressive: Literal["none", "output_skip"],
        progressive_input: Literal["none", "input_skip", "residual"],
        progressive_combine: Literal["sum", "cat"],
        scale_by_sigma: bool,
    ) -> None:
        super().__init__()
        self.register_buffer("sigmas", torch.empty(num_scales))
        self.levels, self.num_res_blocks, self.nf = len(ch_mult), num_res_blocks, nf
        self.resolutions = [image_size // 2**level for level in range(self.levels)]
        self.attn_resolutions, self.taps, self.rescale = set(attn_resolutions), taps, skip_rescale
        self.embedding_type, self.scale_by_sigma = embedding_type, scale_by_sigma
        self.progressive, self.progressive_input = progressive, progressive_input
        self.progressive_combine = progressive_combine
        widths = [nf * mult for mult in ch_mult]
        encoder, skips = self._encoder(num_channels, widths)
        self.all_modules = nn.ModuleList(
            [*self._embedding(), *encoder, *self._decoder(num_channels, widths, skips)]
        )

    def _block(self, c_in: int, c_out: int, resample: Direction | None = None) -> nn.Module:
        return ResidualBlock(c_in, c_out, 4 * self.nf, self.rescale, self.taps, resample)

    def _embedding(self) -> list[nn.Module]:
        fourier = self.embedding_type == "fourier"
        first: list[nn.Module] = [GaussianFourier(self.nf)] if fourier else []
        width = self.nf * (2 if fourier else 1)
        return [*first, nn.Linear(width, 4 * self.nf), nn.Linear(4 * self.nf, 4 * self.nf)]

    def _encoder(self, channels: int, widths: list[int]) -> tuple[list[nn.Module], list[int]]:
        """The layers of the encoder and the middle, and the channels of every skip."""
        made: list[nn.Module] = [nn.Conv2d(channels, self.nf, 3, padding=1)]
        width, pyramid, skips = self.nf, channels, [self.nf]
        for level, wide in enumerate(widths):
            for _ in range(self.num_res_blocks):
                made.append(self._block(width, wide))
                width = wide
                if self.resolutions[level] in self.attn_resolutions:
                    made.append(PixelAttention(width, self.rescale))
                skips.append(width)
            if level < self.levels - 1:
                made.append(self._block(width, width, "down"))
                if self.progressive_input == "input_skip":
                    made.append(Combine(pyramid, width, self.progressive_combine))
                    width *= 2 if self.progressive_combine == "cat" else 1
                if self.progressive_input == "residual":
                    down = FilteredConvolution(pyramid, width, self.taps)
                    made.append(nn.Sequential(OrderedDict(Conv2d_0=down)))
                    pyramid = width
                skips.append(width)
        middle = [self._block(width, width), PixelAttention(width, self.rescale)]
        return [*made, *middle, self._block(width, width)], skips

    def _decoder(self, channels: int, widths: list[int], skips: list[int]) -> list[nn.Module]:
        made: list[nn.Module] = []
        width = skips[-1]
        for level in reversed(range(self.levels)):
            for _ in range(self.num_res_blocks + 1):
                made.append(self._block(width + skips.pop(), widths[level]))
                width = widths[level]
            if self.resolutions[level] in self.attn_resolutions:
                made.append(PixelAttention(width, self.rescale))
            if self.progressive == "output_skip" or level == 0:
                output = [group_norm(width), nn.Conv2d(width, channels, 3, padding=1)]
                made.extend(output)
            if level:
                made.append(self._block(width, width, "up"))
        return made

    def forward(
        self, x: Float[Tensor, "b c r r"], label: Float[Tensor, "b"]
    ) -> Float[Tensor, "b c r r"]:
        """h at images x and labels, noise levels or times as ``embedding_type`` takes them."""
        layers = iter(self.all_modules)
        emb = self._embedded(layers, label, x.dtype)
        h = self._decoded(layers, self._encoded(layers, x, emb), emb)
        if not self.scale_by_sigma:
            return h
        sigma = label if self.embedding_type == "fourier" else self.sigmas[label.long()]
        return h / sigma.to(h.dtype).reshape(-1, 1, 1, 1)

    def _embedded(self, layers: Iterator[nn.Module], label: Tensor, dtype: torch.dtype) -> Tensor:
        fourier = self.embedding_type == "fourier"
        waves = next(layers)(label.log()) if fourier else positional(label, self.nf)
        emb = next(layers)(waves.to(dtype))
        return next(layers)(F.silu(emb))

    def _attended(self, layers: Iterator[nn.Module], h: Tensor) -> Tensor:
        return next(layers)(h) if h.shape[-1] in self.attn_resolutions else h

    def _encoded(self, layers: Iterator[nn.Module], x: Tensor, emb: Tensor) -> list[Tensor]:
        """Every skip, and after them the output of the middle."""
        pyramid, h = x, next(layers)(x)
        skips = [h]
        for level in range(self.levels):
            for _ in range(self.num_res_blocks):
                h = self._attended(layers, next(layers)(h, emb))
                skips.append(h)
            if level < self.levels - 1:
                h = next(layers)(h, emb)
                if self.progressive_input == "input_skip":
                    pyramid = downsample(pyramid, separable(self.taps))
                    h = next(layers)(pyramid, h)
                if self.progressive_input == "residual":
                    h = pyramid = _joined(next(layers)(pyramid), h, self.rescale)
                skips.append(h)
        h = next(layers)(h, emb)
        h = next(layers)(h)
        return [*skips, next(layers)(h, emb)]

    def _decoded(self, layers: Iterator[nn.Module], skips: list[Tensor], emb: Tensor) -> Tensor:
        h, outputs = skips.pop(), list[Tensor]()
        for level in reversed(range(self.levels)):
            for _ in range(self.num_res_blocks + 1):
                h = next(layers)(torch.cat([h, skips.pop()], 1), emb)
            h = self._attended(layers, h)
            if self.progressive == "output_skip" or level == 0:
                normed = F.silu(next(layers)(h))
                made = next(layers)(normed)
                outputs = [upsample(o, separable(self.taps)) + made for o in outputs] or [made]
            if level:
                h = next(layers)(h, emb)
        return outputs[0]
