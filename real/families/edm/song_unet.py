"""EDM's U-Net of the DDPM++ and NCSN++ networks (Song et al. 2021, as in Karras et al. 2022)."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from real.families.edm.layers import (
    BlockStyle,
    Convolution,
    Dense,
    FourierEmbedding,
    FusedDownConvolution,
    GroupNorm,
    PositionalEmbedding,
    Resampling,
    UNetBlock,
    at,
)


class SongUNet(nn.Module):
    """F(x, c_noise, labels) of images (b, in_channels, r, r) -> (b, out_channels, r, r).

    Args:
        img_resolution, in_channels, out_channels, label_dim: of images and class labels.
        augment_dim: of augmentation labels, which are zero at inference and then add nothing.
        model_channels, channel_mult: width, and its factor at each level.
        channel_mult_emb, channel_mult_noise: width of the embeddings over ``model_channels``.
        num_blocks, attn_resolutions: blocks at each level, and where they attend.
        embedding_type: of the noise level; "positional" in DDPM++, "fourier" in NCSN++.
        encoder_type: how the resampled input enters at each level: not ("standard", DDPM++),
            "skip", or "residual" (NCSN++).
        decoder_type: whether the output is made at the last level or summed over all ("skip").
        resample_filter: (1, 1) in DDPM++, (1, 3, 3, 1) in NCSN++.
    """

    def __init__(
        self,
        img_resolution: int,
        in_channels: int,
        out_channels: int,
        label_dim: int = 0,
        augment_dim: int = 0,
        model_channels: int = 128,
        channel_mult: Sequence[int] = (1, 2, 2, 2),
        channel_mult_emb: int = 4,
        num_blocks: int = 4,
        attn_resolutions: Sequence[int] = (16,),
        embedding_type: Literal["positional", "fourier"] = "positional",
        channel_mult_noise: int = 1,
        encoder_type: Literal["standard", "skip", "residual"] = "standard",
        decoder_type: Literal["standard", "skip"] = "standard",
        resample_filter: Sequence[float | int] = (1, 1),
    ) -> None:
        super().__init__()
        self.resolutions = [img_resolution >> level for level in range(len(channel_mult))]
        self.num_blocks, self.attn_resolutions = num_blocks, set(attn_resolutions)
        self.encoder_type, self.decoder_type = encoder_type, decoder_type
        self.emb_channels = model_channels * channel_mult_emb
        self.style = BlockStyle(
            1e-6, math.sqrt(0.5), False, tuple(resample_filter), resample_projected=True, heads=1
        )
        noise_channels = model_channels * channel_mult_noise
        self.map_noise = (
            PositionalEmbedding(noise_channels, endpoint=True)
            if embedding_type == "positional"
            else FourierEmbedding(noise_channels)
        )
        self.map_label = Dense(label_dim, noise_channels) if label_dim else None
        self.map_augment = Dense(augment_dim, noise_channels, bias=False) if augment_dim else None
        self.map_layer0 = Dense(noise_channels, self.emb_channels)
        self.map_layer1 = Dense(self.emb_channels, self.emb_channels)
        widths = [model_channels * mult for mult in channel_mult]
        self.enc, self.dec = nn.ModuleDict(), nn.ModuleDict()
        skips = self._build_encoder(in_channels, model_channels, widths)
        self._build_decoder(out_channels, widths, skips)

    def _block(self, c_in: int, c_out: int, **options: object) -> UNetBlock:
        return UNetBlock(c_in, c_out, self.emb_channels, self.style, **options)  # type: ignore[arg-type]

    def _build_encoder(self, channels: int, first: int, widths: list[int]) -> list[int]:
        """Fill ``enc``; returns the channels of every skip."""
        side, taps, width, skips = channels, self.style.taps, first, list[int]()
        for level, (r, wide) in enumerate(zip(self.resolutions, widths, strict=True)):
            if level == 0:
                self.enc[at(r, "conv")] = Convolution(channels, first, 3)
            else:
                self.enc[at(r, "down")] = self._block(width, width, resample="down")
            if level and self.encoder_type == "skip":
                self.enc[at(r, "aux_down")] = Resampling("down", taps)
                self.enc[at(r, "aux_skip")] = Convolution(side, width, 1)
            if level and self.encoder_type == "residual":
                self.enc[at(r, "aux_residual")] = FusedDownConvolution(side, width, 3, taps)
                side = width
            skips.append(width)
            for i in range(self.num_blocks):
                attends = r in self.attn_resolutions
                self.enc[at(r, f"block{i}")] = self._block(width, wide, attention=attends)
                width = wide
                skips.append(width)
        return skips

    def _build_decoder(self, channels: int, widths: list[int], skips: list[int]) -> None:
        width, last = widths[-1], len(widths) - 1
        for level in reversed(range(len(widths))):
            r = self.resolutions[level]
            if level == last:
                self.dec[at(r, "in0")] = self._block(width, width, attention=True)
                self.dec[at(r, "in1")] = self._block(width, width)
            else:
                self.dec[at(r, "up")] = self._block(width, width, resample="up")
            for i in range(self.num_blocks + 1):
                attends = i == self.num_blocks and r in self.attn_resolutions
                block = self._block(width + skips.pop(), widths[level], attention=attends)
                self.dec[at(r, f"block{i}")] = block
                width = widths[level]
            if self.decoder_type == "skip" and level < last:
                self.dec[at(r, "aux_up")] = Resampling("up", self.style.taps)
            if self.decoder_type == "skip" or level == 0:
                self.dec[at(r, "aux_norm")] = GroupNorm(width, 1e-6)
                self.dec[at(r, "aux_conv")] = Convolution(width, channels, 3)

    def forward(
        self,
        x: Float[Tensor, "b c r r"],
        noise_labels: Float[Tensor, "b"],
        class_labels: Float[Tensor, "b n"] | None,
    ) -> Float[Tensor, "b c2 r r"]:
        emb = self._embedded(noise_labels, class_labels)
        skips = self._encoded(x, emb)
        return self._decoded(skips, emb)

    def _embedded(self, noise_labels: Tensor, class_labels: Tensor | None) -> Tensor:
        waves = self.map_noise(noise_labels)
        emb = waves.roll(waves.shape[1] // 2, 1)  # sines first
        if self.map_label is not None and class_labels is not None:
            emb = emb + self.map_label(class_labels * math.sqrt(class_labels.shape[1]))
        return F.silu(self.map_layer1(F.silu(self.map_layer0(emb))))

    def _encoded(self, x: Tensor, emb: Tensor) -> list[Tensor]:
        side, skips = x, list[Tensor]()
        for level, r in enumerate(self.resolutions):
            x = self.enc[at(r, "down")](x, emb) if level else self.enc[at(r, "conv")](x)
            if level and self.encoder_type == "skip":
                side = self.enc[at(r, "aux_down")](side)
                x = x + self.enc[at(r, "aux_skip")](side)
            if level and self.encoder_type == "residual":
                x = side = (x + self.enc[at(r, "aux_residual")](side)) / math.sqrt(2)
            skips.append(x)
            for i in range(self.num_blocks):
                x = self.enc[at(r, f"block{i}")](x, emb)
                skips.append(x)
        return skips

    def _decoded(self, skips: list[Tensor], emb: Tensor) -> Tensor:
        x, outputs = skips[-1], list[Tensor]()
        for r in reversed(self.resolutions):
            if r == self.resolutions[-1]:
                x = self.dec[at(r, "in1")](self.dec[at(r, "in0")](x, emb), emb)
            else:
                x = self.dec[at(r, "up")](x, emb)
            for i in range(self.num_blocks + 1):
                x = self.dec[at(r, f"block{i}")](torch.cat([x, skips.pop()], 1), emb)
            if self.decoder_type == "skip" or r == self.resolutions[0]:
                made = self.dec[at(r, "aux_conv")](F.silu(self.dec[at(r, "aux_norm")](x)))
                outputs = [made + self.dec[at(r, "aux_up")](below) for below in outputs] or [made]
        return outputs[0]
