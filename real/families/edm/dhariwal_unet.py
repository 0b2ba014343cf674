"""EDM's U-Net of the ADM networks (Dhariwal & Nichol 2021, as in Karras et al. 2022)."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from real.families.edm.encoder_decoder import EncoderDecoder, Side, UNetShape
from real.families.edm.layers import (
    BlockStyle,
    Convolution,
    Dense,
    GroupNorm,
    PositionalEmbedding,
    UNetBlock,
)

STYLE = BlockStyle(1e-5, 1.0, True, (1, 1), resample_projected=False, heads=None)


class DhariwalUNet(EncoderDecoder):
    """F(x, c_noise, labels) of images (b, in_channels, r, r) -> (b, out_channels, r, r).

    Args:
        shape: the fields of ``UNetShape``.
    """

    def __init__(self, **shape: Any) -> None:
        s = UNetShape(**shape)
        super().__init__(s.img_resolution, s.widths, s.num_blocks, s.attn_resolutions)
        width, self.emb_channels = s.model_channels, s.model_channels * s.channel_mult_emb
        self.map_noise = PositionalEmbedding(width)
        self.map_augment = Dense(s.augment_dim, width, bias=False) if s.augment_dim else None
        self.map_layer0 = Dense(width, self.emb_channels)
        self.map_layer1 = Dense(self.emb_channels, self.emb_channels)
        self.map_label = Dense(s.label_dim, self.emb_channels, bias=False) if s.label_dim else None
        self._build(s.in_channels, s.widths[0])
        self.out_norm = GroupNorm(s.widths[0])
        self.out_conv = Convolution(s.widths[0], s.out_channels, 3)

    def _convolution(self, c_in: int, c_out: int) -> nn.Module:
        return Convolution(c_in, c_out, 3)

    def _block(self, side: Side, c_in: int, c_out: int, **options: Any) -> nn.Module:
        return UNetBlock(c_in, c_out, self.emb_channels, STYLE, **options)

    def _embedded(self, noise_labels: Tensor, class_labels: Tensor | None) -> Tensor:
        emb = self.map_layer1(F.silu(self.map_layer0(self.map_noise(noise_labels))))
        if self.map_label is not None and class_labels is not None:
            emb = emb + self.map_label(class_labels)
        return F.silu(emb)

    def _output(self, x: Tensor) -> Tensor:
        return self.out_conv(F.silu(self.out_norm(x)))
