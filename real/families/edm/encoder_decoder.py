"""The encoder and the decoder that the U-Nets of EDM and EDM2 have in common.

Upstream names every part by its resolution: enc.16x16_block0, dec.8x8_up.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

Side = Literal["encoder", "decoder"]


def part_at(resolution: int, part: str) -> str:
    """The name of the part of a U-Net that works at a resolution."""
    return f"{resolution}x{resolution}_{part}"


@dataclass(frozen=True)
class UNetShape:
    """The arguments that both of EDM's U-Nets take, with the defaults of DhariwalUNet.

    Attributes:
        img_resolution, in_channels, out_channels, label_dim: of images and class labels.
        augment_dim: of augmentation labels, which are zero at inference and then add nothing.
        model_channels, channel_mult: width, and its factor at each level.
        channel_mult_emb: width of the embedding over ``model_channels``.
        num_blocks, attn_resolutions: blocks at each level, and where they attend.
    """

    img_resolution: int
    in_channels: int
    out_channels: int
    label_dim: int = 0
    augment_dim: int = 0
    model_channels: int = 192
    channel_mult: Sequence[int] = (1, 2, 3, 4)
    channel_mult_emb: int = 4
    num_blocks: int = 3
    attn_resolutions: Sequence[int] = (32, 16, 8)

    @property
    def widths(self) -> list[int]:
        """Channels at each level, from the finest."""
        return [self.model_channels * mult for mult in self.channel_mult]


class EncoderDecoder(nn.Module):
    """F(x, c_noise, labels) by blocks at halving resolutions: down through ``enc``, up through ``dec``.

    Every output of the encoder is joined to an input of the decoder. A subclass makes the blocks and
    the embedding, and may add parts at each level.

    Args:
        resolution: height and width of the images.
        widths: channels at each level, from the finest.
        num_blocks: blocks at each level of the encoder; the decoder has one more.
        attn_resolutions: resolutions at which blocks attend.
    """

    attends_once: ClassVar[bool] = False
    """Whether only the last block of a level of the decoder attends."""

    def __init__(
        self,
        resolution: int,
        widths: Sequence[int],
        num_blocks: int,
        attn_resolutions: Sequence[int],
    ) -> None:
        super().__init__()
        self.resolutions = [resolution >> level for level in range(len(widths))]
        self.widths, self.num_blocks = widths, num_blocks
        self.attn_resolutions = set(attn_resolutions)

    def forward(
        self,
        x: Float[Tensor, "b c r r"],
        noise_labels: Float[Tensor, "b"],
        class_labels: Float[Tensor, "b n"] | None,
    ) -> Float[Tensor, "b c2 r r"]:
        """F at scaled images, c_noise and one-hot labels."""
        return self._output(self._through(x, self._embedded(noise_labels, class_labels)))

    @abstractmethod
    def _embedded(self, noise_labels: Tensor, class_labels: Tensor | None) -> Tensor:
        """The embedding (b, e) of c_noise and labels."""

    def _output(self, x: Tensor) -> Tensor:
        """The output of the network, given that of the finest level."""
        return x

    @abstractmethod
    def _convolution(self, c_in: int, c_out: int) -> nn.Module:
        """The first convolution."""

    @abstractmethod
    def _block(self, side: Side, c_in: int, c_out: int, **options: Any) -> nn.Module:
        """A block(x, emb); options are ``resample`` ("up" or "down") and ``attention`` (a bool)."""

    def _add_to_encoder(self, level: int, width: int) -> None:
        """Add parts to a level of ``enc``, before its blocks."""

    def _add_to_decoder(self, level: int, width: int) -> None:
        """Add parts to a level of ``dec``, after its blocks."""

    def _entered(self, level: int, x: Tensor, side: Tensor) -> tuple[Tensor, Tensor]:
        """The input of a level's blocks, and the side input of the next level."""
        return x, side

    def _left(self, level: int, x: Tensor, below: Tensor) -> Tensor:
        """The output of a level, given that of the coarser level."""
        return x

    def _joined(self, x: Tensor, skip: Tensor) -> Tensor:
        """The input of a decoder's block."""
        return torch.cat([x, skip], 1)

    def _build(self, channels: int, first: int) -> None:
        """Make ``enc`` and ``dec`` for images of so many channels; ``first`` is the first width."""
        self.enc, self.dec = nn.ModuleDict(), nn.ModuleDict()
        self._build_decoder(self._build_encoder(channels, first))

    def _build_encoder(self, channels: int, width: int) -> list[int]:
        """Fill ``enc``; returns the channels of every skip."""
        skips = list[int]()
        for level, (r, wide) in enumerate(zip(self.resolutions, self.widths, strict=True)):
            if level == 0:
                self.enc[part_at(r, "conv")] = self._convolution(channels, width)
            else:
                self.enc[part_at(r, "down")] = self._block("encoder", width, width, resample="down")
            self._add_to_encoder(level, width)
            skips.append(width)
            for i in range(self.num_blocks):
                attends = r in self.attn_resolutions
                block = self._block("encoder", width, wide, attention=attends)
                self.enc[part_at(r, f"block{i}")] = block
                width = wide
                skips.append(width)
        return skips

    def _build_decoder(self, skips: list[int]) -> None:
        width, last = self.widths[-1], len(self.widths) - 1
        for level in range(last, -1, -1):
            r, wide = self.resolutions[level], self.widths[level]
            if level == last:
                self.dec[part_at(r, "in0")] = self._block("decoder", width, width, attention=True)
                self.dec[part_at(r, "in1")] = self._block("decoder", width, width)
            else:
                self.dec[part_at(r, "up")] = self._block("decoder", width, width, resample="up")
            for i in range(self.num_blocks + 1):
                attends = r in self.attn_resolutions and (
                    i == self.num_blocks or not self.attends_once
                )
                block = self._block("decoder", width + skips.pop(), wide, attention=attends)
                self.dec[part_at(r, f"block{i}")] = block
                width = wide
            self._add_to_decoder(level, width)

    def _through(self, x: Tensor, emb: Tensor) -> Tensor:
        """The output of the finest level, for inputs x and an embedding."""
        side, skips = x, list[Tensor]()
        for level, r in enumerate(self.resolutions):
            x = self.enc[part_at(r, "down")](x, emb) if level else self.enc[part_at(r, "conv")](x)
            x, side = self._entered(level, x, side)
            skips.append(x)
            for i in range(self.num_blocks):
                x = self.enc[part_at(r, f"block{i}")](x, emb)
                skips.append(x)
        output = x
        for level, r in reversed(list(enumerate(self.resolutions))):
            if level == len(self.resolutions) - 1:
                x = self.dec[part_at(r, "in1")](self.dec[part_at(r, "in0")](x, emb), emb)
            else:
                x = self.dec[part_at(r, "up")](x, emb)
            for i in range(self.num_blocks + 1):
                x = self.dec[part_at(r, f"block{i}")](self._joined(x, skips.pop()), emb)
            output = self._left(level, x, output)
        return output
