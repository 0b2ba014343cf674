"""EDM2's magnitude-preserving U-Net (Karras et al. 2024, figure 21).

"Analyzing and Improving the Training Dynamics of Diffusion Models". Every layer keeps the variance of
unit-variance inputs: weights are normalized whenever they are used, and sums and concatenations are
rescaled. Numbers in parentheses are the paper's equations.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from real.families.edm.encoder_decoder import EncoderDecoder, Side
from real.families.edm.preconditioning import EDMPreconditioned
from real.families.resampling import Direction, resampled, separable


def unit_magnitude(x: Tensor, dim: list[int] | int, eps: float = 1e-4) -> Tensor:
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
    """Random Fourier features, whose frequencies and phases the file holds (75)."""

    freqs: Tensor
    phases: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("freqs", torch.empty(channels))
        self.register_buffer("phases", torch.empty(channels))

    def forward(self, t: Float[Tensor, "b"]) -> Float[Tensor, "b n"]:
        """sqrt(2) cos(f t + p) for each of the n frequencies f and phases p."""
        angles = torch.outer(t.to(torch.float32), self.freqs.to(torch.float32))
        return ((angles + self.phases.to(torch.float32)).cos() * math.sqrt(2)).to(t.dtype)


class MPConvolution(nn.Module):
    """Convolution with normalized weights (47); a linear layer where the kernel has no size."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int | None) -> None:
        super().__init__()
        size = () if kernel is None else (kernel, kernel)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *size))

    def forward(
        self, x: Float[Tensor, "b c *hw"], gain: Tensor | float = 1.0
    ) -> Float[Tensor, "b c2 *hw"]:
        """gain w * x / sqrt(fan-in), where the weights of every output have unit mean square."""
        weight = self.weight.to(torch.float32)
        fan_in = weight[0].numel()
        weight = unit_magnitude(weight, list(range(1, weight.ndim)))
        weight = (weight * (gain / math.sqrt(fan_in))).to(x.dtype)
        if weight.ndim == 2:
            return x @ weight.t()
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2)


@dataclass(frozen=True)
class MPBlockStyle:
    """The settings that all blocks of a network share.

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
        side: Side,
        style: MPBlockStyle,
        resample: Direction | None = None,
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
        """skip(x) + the convolutions of x, scaled by the embedding; then attention."""
        if self.resample:
            x = resampled(x, self.resample, separable(self.style.resample_filter))
        if self.side == "encoder":
            x = unit_magnitude(self._skipped(x), 1)
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

    def _skipped(self, x: Tensor) -> Tensor:
        return x if self.conv_skip is None else self.conv_skip(x)

    def _attended(self, qkv: Tensor) -> Tensor:
        b, channels, height, width = qkv.shape
        parts = qkv.reshape(b, self.heads, -1, 3, height * width)
        q, k, v = unit_magnitude(parts, 2).unbind(3)
        weights = torch.einsum("nhcq,nhck->nhqk", q, k / math.sqrt(q.shape[2])).softmax(3)
        mixed = torch.einsum("nhqk,nhck->nhcq", weights, v)
        return mixed.reshape(b, channels // 3, height, width)


class MPUNet(EncoderDecoder):
    """F(x, c_noise, labels) of images (b, img_channels, r, r), of their own shape.

    Args:
        img_resolution, img_channels, label_dim: of images and class labels.
        model_channels, channel_mult: width, and its factor at each level.
        channel_mult_noise, channel_mult_emb: of the embeddings of the noise level, and of noise
            level and class; None is that of the first level, and of the widest one.
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
        widths = [model_channels * mult for mult in channel_mult]
        super().__init__(img_resolution, widths, num_blocks, attn_resolutions)
        self.label_balance, self.concat_balance, self.style = label_balance, concat_balance, style
        noise_channels = model_channels * (channel_mult_noise or channel_mult[0])
        self.emb_channels = model_channels * (channel_mult_emb or max(channel_mult))
        self.out_gain = nn.Parameter(torch.empty(()))
        self.emb_fourier = MPFourier(noise_channels)
        self.emb_noise = MPConvolution(noise_channels, self.emb_channels, None)
        self.emb_label = MPConvolution(label_dim, self.emb_channels, None) if label_dim else None
        self._build(img_channels + 1, widths[0])
        self.out_conv = MPConvolution(widths[0], img_channels, 3)

    def _convolution(self, c_in: int, c_out: int) -> nn.Module:
        return MPConvolution(c_in, c_out, 3)

    def _block(self, side: Side, c_in: int, c_out: int, **options: Any) -> nn.Module:
        return MPBlock(c_in, c_out, self.emb_channels, side, self.style, **options)

    def _joined(self, x: Tensor, skip: Tensor) -> Tensor:
        return mp_cat(x, skip, self.concat_balance)

    def _embedded(self, noise_labels: Tensor, class_labels: Tensor | None) -> Tensor:
        emb = self.emb_noise(self.emb_fourier(noise_labels))
        if self.emb_label is not None and class_labels is not None:
            labels = self.emb_label(class_labels * math.sqrt(class_labels.shape[1]))
            emb = mp_sum(emb, labels, self.label_balance)
        return mp_silu(emb)

    def _through(self, x: Tensor, emb: Tensor) -> Tensor:
        return super()._through(torch.cat([x, torch.ones_like(x[:, :1])], 1), emb)

    def _output(self, x: Tensor) -> Tensor:
        return self.out_conv(x, gain=self.out_gain)


class MPDenoiser(EDMPreconditioned):
    """D(x; sigma, labels) around the U-Net, with EDM's coefficients.

    The file also holds a layer for log-variances u(sigma), by which training weights its losses.

    Args:
        unet: F.
        sigma_data: standard deviation of the training images.
        logvar_channels: width of the layer for log-variances.
    """

    part = "unet"

    def __init__(
        self, unet: MPUNet, sigma_data: float | int = 0.5, logvar_channels: int = 128
    ) -> None:
        super().__init__(unet, sigma_data=sigma_data)
        self.logvar_fourier = MPFourier(logvar_channels)
        self.logvar_linear = MPConvolution(logvar_channels, 1, None)
