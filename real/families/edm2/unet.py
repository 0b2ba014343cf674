"""EDM2's magnitude-preserving U-Net (Karras et al. 2024, "Training Dynamics", figure 21).

Every layer keeps the variance of unit-variance inputs: weights are normalized whenever they are
used, and sums and concatenations are rescaled. Equation numbers are the paper's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from real.families.edm.layers import Resample, at
from real.families.edm.preconditioning import edm_coefficients, working_dtype
from real.families.resampling import downsample, separable, upsample


def normalized(x: Tensor, dim: list[int] | int, eps: float = 1e-4) -> Tensor:
    """x over its root mean square along some dimensions."""
    norm = torch.linalg.vector_norm(x, dim=dim, keepdim=True, dtype=torch.float32)
    return x / (eps + norm * math.sqrt(norm.numel() / x.numel())).to(x.dtype)


def mp_silu(x: Tensor) -> Tensor:
    """SiLU over its root mean square on normal inputs (81)."""
    return F.silu(x) / 0.596


def mp_sum(a: Tensor, b: Tensor, t: float) -> Tensor:
    """(1 - t) a + t b, rescaled (88)."""
    return a.lerp(b, t) / math.sqrt((1 - t) ** 2 + t**2)


def mp_cat(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Channels of a and b in the proportion (1 - t) : t of variance, rescaled (103)."""
    n_a, n_b = a.shape[1], b.shape[1]
    scale = math.sqrt((n_a + n_b) / ((1 - t) ** 2 + t**2))
    return torch.cat([scale / math.sqrt(n_a) * (1 - t) * a, scale / math.sqrt(n_b) * t * b], 1)


class MPFourier(nn.Module):
    """sqrt(2) cos(f t + p) at n random frequencies and phases, which the file holds (75)."""

    freqs: Tensor
    phases: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("freqs", torch.empty(channels))
        self.register_buffer("phases", torch.empty(channels))

    def forward(self, t: Float[Tensor, "b"]) -> Float[Tensor, "b n"]:
        angles = torch.outer(t.to(torch.float32), self.freqs.to(torch.float32))
        return ((angles + self.phases.to(torch.float32)).cos() * math.sqrt(2)).to(t.dtype)


class MPConvolution(nn.Module):
    """Convolution, or product where the kernel has no size, with normalized weights (47)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int | None) -> None:
        super().__init__()
        size = () if kernel is None else (kernel, kernel)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *size))

    def forward(
        self, x: Float[Tensor, "b c *hw"], gain: Tensor | float = 1.0
    ) -> Float[Tensor, "b c2 *hw"]:
        weight = self.weight.to(torch.float32)
        fan_in = weight[0].numel()
        weight = normalized(weight, list(range(1, weight.ndim)))
        weight = (weight * (gain / math.sqrt(fan_in))).to(x.dtype)
        if weight.ndim == 2:
            return x @ weight.t()
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2)


@dataclass(frozen=True)
class MPBlockStyle:
    """What all blocks of a network share.

    Attributes:
        resample_filter: taps of up- and downsampling.
        channels_per_head: of attention.
        res_balance, attn_balance: share of the residual branch, and of attention, in a sum.
        clip_act: greatest absolute activation; None does not clip.
    """

    resample_filter: Sequence[float | int] = (1, 1)
    channels_per_head: int = 64
    res_balance: float | int = 0.3
    attn_balance: float | int = 0.3
    clip_act: float | int | None = 256.0


class MPBlock(nn.Module):
    """Block of the encoder or the decoder: resampling, residual branch, attention."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        emb_channels: int,
        side: Literal["encoder", "decoder"],
        style: MPBlockStyle,
        resample: Resample = None,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.side, self.style, self.resample = side, style, resample
        self.heads = out_channels // style.channels_per_head if attention else 0
        first = out_channels if side == "encoder" else in_channels
        self.emb_gain = nn.Parameter(torch.empty(()))
        self.conv_res0 = MPConvolution(first, out_channels, 3)
        self.emb_linear = MPConvolution(emb_channels, out_channels, None)
        self.conv_res1 = MPConvolution(out_channels, out_channels, 3)
        self.conv_skip = (
            MPConvolution(in_channels, out_channels, 1) if in_channels != out_channels else None
        )
        self.attn_qkv = MPConvolution(out_channels, 3 * out_channels, 1) if self.heads else None
        self.attn_proj = MPConvolution(out_channels, out_channels, 1) if self.heads else None

    def forward(
        self, x: Float[Tensor, "b c h w"], emb: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b c2 h2 w2"]:
        x = self._resampled(x)
        if self.side == "encoder":
            x = normalized(self._skipped(x), 1)
        hidden = self.conv_res0(mp_silu(x))
        scale = self.emb_linear(emb, gain=self.emb_gain) + 1
        hidden = mp_silu(hidden * scale[:, :, None, None].to(hidden.dtype))
        hidden = self.conv_res1(hidden)
        if self.side == "decoder":
            x = self._skipped(x)
        x = mp_sum(x, hidden, self.style.res_balance)
        if self.attn_qkv is not None and self.attn_proj is not None:
            attended = self.attn_proj(self._attended(self.attn_qkv(x)))
            x = mp_sum(x, attended, self.style.attn_balance)
        limit = self.style.clip_act
        return x if limit is None else x.clamp(-limit, limit)

    def _resampled(self, x: Tensor) -> Tensor:
        if self.resample is None:
            return x
        kernel = separable(self.style.resample_filter)
        return (downsample if self.resample == "down" else upsample)(x, kernel)

    def _skipped(self, x: Tensor) -> Tensor:
        return x if self.conv_skip is None else self.conv_skip(x)

    def _attended(self, qkv: Tensor) -> Tensor:
        b, channels, height, width = qkv.shape
        parts = qkv.reshape(b, self.heads, -1, 3, height * width)
        q, k, v = normalized(parts, 2).unbind(3)
        weights = torch.einsum("nhcq,nhck->nhqk", q, k / math.sqrt(q.shape[2])).softmax(3)
        mixed = torch.einsum("nhqk,nhck->nhcq", weights, v)
        return mixed.reshape(b, channels // 3, height, width)


class MPUNet(nn.Module):
    """F(x, c_noise, labels) of images (b, img_channels, r, r), of their own shape.

    Args:
        img_resolution, img_channels, label_dim: of images and class labels.
        model_channels, channel_mult: width, and its factor at each level.
        channel_mult_noise, channel_mult_emb: of the embeddings; None is that of the first level
            for the noise level, and of the widest level for both.
        num_blocks, attn_resolutions: blocks at each level, and where they attend.
        label_balance, concat_balance: share of the class embedding, and of a skip.
        style: what the blocks share.
    """

    def __init__(
        self,
        img_resolution: int,
        img_channels: int,
        label_dim: int,
        model_channels: int = 192,
        channel_mult: Sequence[int] = (1, 2, 3, 4),
        channel_mult_noise: int | None = None,
        channel_mult_emb: int | None = None,
        num_blocks: int = 3,
        attn_resolutions: Sequence[int] = (16, 8),
        label_balance: float = 0.5,
        concat_balance: float = 0.5,
        style: MPBlockStyle = MPBlockStyle(),
    ) -> None:
        super().__init__()
        self.resolutions = [img_resolution >> level for level in range(len(channel_mult))]
        self.num_blocks, self.attn_resolutions = num_blocks, set(attn_resolutions)
        self.label_balance, self.concat_balance, self.style = label_balance, concat_balance, style
        widths = [model_channels * mult for mult in channel_mult]
        noise_channels = model_channels * (channel_mult_noise or channel_mult[0])
        self.emb_channels = model_channels * (channel_mult_emb or max(channel_mult))
        self.out_gain = nn.Parameter(torch.empty(()))
        self.emb_fourier = MPFourier(noise_channels)
        self.emb_noise = MPConvolution(noise_channels, self.emb_channels, None)
        self.emb_label = MPConvolution(label_dim, self.emb_channels, None) if label_dim else None
        self.enc, self.dec = nn.ModuleDict(), nn.ModuleDict()
        self._build_decoder(widths, self._build_encoder(img_channels + 1, widths))
        self.out_conv = MPConvolution(widths[0], img_channels, 3)

    def _build_encoder(self, channels: int, widths: list[int]) -> list[int]:
        """Fill ``enc``; returns the channels of every skip."""
        width, emb, skips = widths[0], self.emb_channels, list[int]()
        for level, (r, wide) in enumerate(zip(self.resolutions, widths, strict=True)):
            self.enc[at(r, "down" if level else "conv")] = (
                MPBlock(width, width, emb, "encoder", self.style, "down")
                if level
                else MPConvolution(channels, width, 3)
            )
            skips.append(width)
            for i in range(self.num_blocks):
                attends = r in self.attn_resolutions
                block = MPBlock(width, wide, emb, "encoder", self.style, attention=attends)
                self.enc[at(r, f"block{i}")] = block
                width = wide
                skips.append(width)
        return skips

    def _build_decoder(self, widths: list[int], skips: list[int]) -> None:
        width, emb, style = widths[-1], self.emb_channels, self.style
        for level in reversed(range(len(widths))):
            r, attends = self.resolutions[level], self.resolutions[level] in self.attn_resolutions
            if level == len(widths) - 1:
                self.dec[at(r, "in0")] = MPBlock(width, width, emb, "decoder", style, None, True)
                self.dec[at(r, "in1")] = MPBlock(width, width, emb, "decoder", style)
            else:
                self.dec[at(r, "up")] = MPBlock(width, width, emb, "decoder", style, "up")
            for i in range(self.num_blocks + 1):
                wide = width + skips.pop()
                width = widths[level]
                block = MPBlock(wide, width, emb, "decoder", style, attention=attends)
                self.dec[at(r, f"block{i}")] = block

    def forward(
        self,
        x: Float[Tensor, "b c r r"],
        noise_labels: Float[Tensor, "b"],
        class_labels: Float[Tensor, "b n"] | None,
    ) -> Float[Tensor, "b c r r"]:
        emb = self.emb_noise(self.emb_fourier(noise_labels))
        if self.emb_label is not None and class_labels is not None:
            labels = self.emb_label(class_labels * math.sqrt(class_labels.shape[1]))
            emb = mp_sum(emb, labels, self.label_balance)
        return self.out_conv(self._through(x, mp_silu(emb)), gain=self.out_gain)

    def _through(self, x: Tensor, emb: Tensor) -> Tensor:
        x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
        skips = []
        for level, r in enumerate(self.resolutions):
            x = self.enc[at(r, "down")](x, emb) if level else self.enc[at(r, "conv")](x)
            skips.append(x)
            for i in range(self.num_blocks):
                x = self.enc[at(r, f"block{i}")](x, emb)
                skips.append(x)
        for r in reversed(self.resolutions):
            if r == self.resolutions[-1]:
                x = self.dec[at(r, "in1")](self.dec[at(r, "in0")](x, emb), emb)
            else:
                x = self.dec[at(r, "up")](x, emb)
            for i in range(self.num_blocks + 1):
                x = self.dec[at(r, f"block{i}")](mp_cat(x, skips.pop(), self.concat_balance), emb)
        return x


class MPDenoiser(nn.Module):
    """D(x; sigma, labels) around the U-Net, with EDM's coefficients.

    The file also holds a layer for log-variances u(sigma), which training weighs losses with.

    Args:
        unet: F.
        sigma_data: standard deviation of the training images.
        logvar_channels: width of the layer for log-variances.
    """

    def __init__(
        self, unet: MPUNet, sigma_data: float | int = 0.5, logvar_channels: int = 128
    ) -> None:
        super().__init__()
        self.unet, self.sigma_data = unet, sigma_data
        self.logvar_fourier = MPFourier(logvar_channels)
        self.logvar_linear = MPConvolution(logvar_channels, 1, None)

    def forward(
        self,
        x: Float[Tensor, "b c r r"],
        sigma: Float[Tensor, "b"],
        class_labels: Float[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b c r r"]:
        """The denoised images, in float32; class labels are one-hot, all zero for no class."""
        level = sigma.to(torch.float32).reshape(-1, 1, 1, 1)
        c_skip, c_out, c_in, c_noise = edm_coefficients(level, self.sigma_data)
        full = x.to(torch.float32)
        raw = self.unet((c_in * full).to(working_dtype(x)), c_noise.flatten(), class_labels)
        return c_skip * full + c_out * raw.to(torch.float32)

    def log_variance(self, sigma: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
        """u(sigma), log of the expected squared error per number (equation 21)."""
        c_noise = sigma.to(torch.float32).log() / 4
        return self.logvar_linear(self.logvar_fourier(c_noise))[:, 0]
