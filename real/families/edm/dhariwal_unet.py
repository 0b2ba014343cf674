"""EDM's U-Net of the ADM networks (Dhariwal & Nichol 2021, as in Karras et al. 2022)."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from real.families.edm.encoder_decoder import EncoderDecoder, Side
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
        img_resolution, in_channels, out_channels, label_dim: of images and class labels.
        augment_dim: of augmentation labels, which are zero at inference and then add nothing.
        model_channels, channel_mult: width, and its factor at each level.
        channel_mult_emb: width of the embedding over ``model_channels``.
        num_blocks, attn_resolutions: blocks at each level, and where they attend.
    """

    def __init__(
        self,
        img_resolution: int,
        in_channels: int,
        out_channels: int,
        label_dim: int = 0,
        augment_dim: int = 0,
        model_channels: int = 192,
        channel_mult: Sequence[int] = (1, 2, 3, 4),
        channel_mult_emb: int = 4,
        num_blocks: int = 3,
        attn_resolutions: Sequence[int] = (32, 16, 8),
    ) -> None:
        widths = [model_channels * mult for mult in channel_mult]
        super().__init__(img_resolution, widths, num_blocks, attn_resolutions)
        self.emb_channels = model_channels * channel_mult_emb
        self.map_noise = PositionalEmbedding(model_channels)
        self.map_augment = Dense(augment_dim, model_channels, bias=False) if augment_dim else None
        self.map_layer0 = Dense(model_channels, self.emb_channels)
        self.map_layer1 = Dense(self.emb_channels, self.emb_channels)
        self.map_label = Dense(label_dim, self.emb_channels, bias=False) if label_dim else None
        self._build(in_channels, widths[0])
        self.out_norm = GroupNorm(widths[0])
        self.out_conv = Convolution(widths[0], out_channels, 3)

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
