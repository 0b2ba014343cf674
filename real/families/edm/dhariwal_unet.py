"""EDM's U-Net of the ADM networks (Dhariwal & Nichol 2021, as in Karras et al. 2022)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from real.families.edm.layers import (
    BlockStyle,
    Convolution,
    Dense,
    GroupNorm,
    PositionalEmbedding,
    UNetBlock,
    at,
)

STYLE = BlockStyle(1e-5, 1.0, True, (1, 1), resample_projected=False, heads=None)


class DhariwalUNet(nn.Module):
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
        super().__init__()
        self.resolutions = [img_resolution >> level for level in range(len(channel_mult))]
        self.num_blocks, self.attn_resolutions = num_blocks, set(attn_resolutions)
        self.emb_channels = model_channels * channel_mult_emb
        self.map_noise = PositionalEmbedding(model_channels)
        self.map_augment = Dense(augment_dim, model_channels, bias=False) if augment_dim else None
        self.map_layer0 = Dense(model_channels, self.emb_channels)
        self.map_layer1 = Dense(self.emb_channels, self.emb_channels)
        self.map_label = Dense(label_dim, self.emb_channels, bias=False) if label_dim else None
        widths = [model_channels * mult for mult in channel_mult]
        self.enc, self.dec = nn.ModuleDict(), nn.ModuleDict()
        self._build_decoder(widths, self._build_encoder(in_channels, widths))
        self.out_norm = GroupNorm(widths[0])
        self.out_conv = Convolution(widths[0], out_channels, 3)

    def _block(self, c_in: int, c_out: int, **options: object) -> UNetBlock:
        return UNetBlock(c_in, c_out, self.emb_channels, STYLE, **options)  # type: ignore[arg-type]

    def _build_encoder(self, channels: int, widths: list[int]) -> list[int]:
        """Fill ``enc``; returns the channels of every skip."""
        width, skips = widths[0], list[int]()
        for level, (r, wide) in enumerate(zip(self.resolutions, widths, strict=True)):
            if level == 0:
                self.enc[at(r, "conv")] = Convolution(channels, width, 3)
            else:
                self.enc[at(r, "down")] = self._block(width, width, resample="down")
            skips.append(width)
            for i in range(self.num_blocks):
                attends = r in self.attn_resolutions
                self.enc[at(r, f"block{i}")] = self._block(width, wide, attention=attends)
                width = wide
                skips.append(width)
        return skips

    def _build_decoder(self, widths: list[int], skips: list[int]) -> None:
        width = widths[-1]
        for level in reversed(range(len(widths))):
            r = self.resolutions[level]
            if level == len(widths) - 1:
                self.dec[at(r, "in0")] = self._block(width, width, attention=True)
                self.dec[at(r, "in1")] = self._block(width, width)
            else:
                self.dec[at(r, "up")] = self._block(width, width, resample="up")
            for i in range(self.num_blocks + 1):
                attends = r in self.attn_resolutions
                block = self._block(width + skips.pop(), widths[level], attention=attends)
                self.dec[at(r, f"block{i}")] = block
                width = widths[level]

    def forward(
        self,
        x: Float[Tensor, "b c r r"],
        noise_labels: Float[Tensor, "b"],
        class_labels: Float[Tensor, "b n"] | None,
    ) -> Float[Tensor, "b c2 r r"]:
        emb = self.map_layer1(F.silu(self.map_layer0(self.map_noise(noise_labels))))
        if self.map_label is not None and class_labels is not None:
            emb = emb + self.map_label(class_labels)
        x = self._through(x, F.silu(emb))
        return self.out_conv(F.silu(self.out_norm(x)))

    def _through(self, x: Tensor, emb: Tensor) -> Tensor:
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
                x = self.dec[at(r, f"block{i}")](torch.cat([x, skips.pop()], 1), emb)
        return x
