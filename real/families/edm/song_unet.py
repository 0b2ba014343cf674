"""EDM's U-Net of the DDPM++ and NCSN++ networks (Song et al. 2021, as in Karras et al. 2022)."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from real.families.edm.encoder_decoder import EncoderDecoder, Side, UNetShape, part_at
from real.families.edm.layers import (
    BlockStyle,
    Convolution,
    Dense,
    FilterResampling,
    FourierEmbedding,
    FusedDownConvolution,
    GroupNorm,
    PositionalEmbedding,
    UNetBlock,
)

DEFAULTS = {
    "model_channels": 128, "channel_mult": (1, 2, 2, 2), "num_blocks": 4, "attn_resolutions": (16,),
}  # fmt: skip


class SongUNet(EncoderDecoder):
    """F(x, c_noise, labels) of images (b, in_channels, r, r) -> (b, out_channels, r, r).

    Args:
        embedding_type: of the noise level; "positional" in DDPM++, "fourier" in NCSN++.
        channel_mult_noise: width of the embedding of the noise level over ``model_channels``.
        encoder_type: how the resampled input enters at each level: not at all ("standard", DDPM++),
            "skip", or "residual" (NCSN++).
        decoder_type: whether the output is made at the last level or summed over all ("skip").
        resample_filter: (1, 1) in DDPM++, (1, 3, 3, 1) in NCSN++.
        shape: the fields of ``UNetShape``, with defaults ``DEFAULTS``.
    """

    attends_once = True

    def __init__(
        self,
        *,
        embedding_type: Literal["positional", "fourier"] = "positional",
        channel_mult_noise: int = 1,
        encoder_type: Literal["standard", "skip", "residual"] = "standard",
        decoder_type: Literal["standard", "skip"] = "standard",
        resample_filter: Sequence[float | int] = (1, 1),
        **shape: Any,
    ) -> None:
        s = UNetShape(**{**DEFAULTS, **shape})
        super().__init__(s.img_resolution, s.widths, s.num_blocks, s.attn_resolutions)
        self.in_channels, self.out_channels = s.in_channels, s.out_channels
        self.side_channels = s.in_channels
        self.encoder_type, self.decoder_type = encoder_type, decoder_type
        self.emb_channels = s.model_channels * s.channel_mult_emb
        self.style = BlockStyle(
            1e-6, math.sqrt(0.5), False, tuple(resample_filter), resample_projected=True, heads=1
        )
        noise_channels = s.model_channels * channel_mult_noise
        self.map_noise = (
            PositionalEmbedding(noise_channels, endpoint=True)
            if embedding_type == "positional"
            else FourierEmbedding(noise_channels)
        )
        self.map_label = Dense(s.label_dim, noise_channels) if s.label_dim else None
        augment = s.augment_dim
        self.map_augment = Dense(augment, noise_channels, bias=False) if augment else None
        self.map_layer0 = Dense(noise_channels, self.emb_channels)
        self.map_layer1 = Dense(self.emb_channels, self.emb_channels)
        self._build(s.in_channels, s.model_channels)

    def _convolution(self, c_in: int, c_out: int) -> nn.Module:
        return Convolution(c_in, c_out, 3)

    def _block(self, side: Side, c_in: int, c_out: int, **options: Any) -> nn.Module:
        return UNetBlock(c_in, c_out, self.emb_channels, self.style, **options)

    def _add_to_encoder(self, level: int, width: int) -> None:
        r, taps = self.resolutions[level], self.style.taps
        if level and self.encoder_type == "skip":
            self.enc[part_at(r, "aux_down")] = FilterResampling("down", taps)
            self.enc[part_at(r, "aux_skip")] = Convolution(self.in_channels, width, 1)
        if level and self.encoder_type == "residual":
            residual = FusedDownConvolution(self.side_channels, width, 3, taps)
            self.enc[part_at(r, "aux_residual")] = residual
            self.side_channels = width

    def _add_to_decoder(self, level: int, width: int) -> None:
        r = self.resolutions[level]
        if self.decoder_type == "skip" and level < len(self.widths) - 1:
            self.dec[part_at(r, "aux_up")] = FilterResampling("up", self.style.taps)
        if self.decoder_type == "skip" or level == 0:
            self.dec[part_at(r, "aux_norm")] = GroupNorm(width, 1e-6)
            self.dec[part_at(r, "aux_conv")] = Convolution(width, self.out_channels, 3)

    def _entered(self, level: int, x: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
        r = self.resolutions[level]
        if level and self.encoder_type == "skip":
            side = self.enc[part_at(r, "aux_down")](side)
            x = x + self.enc[part_at(r, "aux_skip")](side)
        if level and self.encoder_type == "residual":
            x = side = (x + self.enc[part_at(r, "aux_residual")](side)) / math.sqrt(2)
        return x, side

    def _left(self, level: int, x: Tensor, below: Tensor) -> Tensor:
        r, summed = self.resolutions[level], self.decoder_type == "skip"
        if level and not summed:
            return x
        made = self.dec[part_at(r, "aux_conv")](F.silu(self.dec[part_at(r, "aux_norm")](x)))
        coarsest = level == len(self.resolutions) - 1
        return made + self.dec[part_at(r, "aux_up")](below) if summed and not coarsest else made

    def _embedded(self, noise_labels: Tensor, class_labels: Tensor | None) -> Tensor:
        waves = self.map_noise(noise_labels)
        emb = waves.roll(waves.shape[1] // 2, 1)  # sines first
        if self.map_label is not None and class_labels is not None:
            emb = emb + self.map_label(class_labels * math.sqrt(class_labels.shape[1]))
        return F.silu(self.map_layer1(F.silu(self.map_layer0(emb))))
