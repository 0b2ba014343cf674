"""The U-Net of improved-diffusion and guided-diffusion, with the names of their state files.

Nichol & Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), and Dhariwal & Nichol,
"Diffusion Models Beat GANs on Image Synthesis" (2021). diffusers' ``UNet2DModel`` has neither
attention before a residual block that resamples nor their grouping of queries, keys and values by
head.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, Real
from torch import Tensor, nn

GROUPS = 32


@dataclass(frozen=True)
class GuidedArchitecture:
    """What the shapes in a state file tell of a network of this family.

    Attributes:
        in_channels, out_channels: of the images, and of the prediction.
        width: base number of channels.
        multipliers: channels over ``width``, one per level, from the finest; a half is possible.
        blocks: residual blocks per level on the way down; one more on the way up.
        attention: the levels that have attention, 0 the finest.
        classes: number of labels; None if unconditional.
        scale_shift: whether the time embedding scales and shifts after the normalization, or is
            added before it.
        resampling_blocks: whether resampling happens within residual blocks, or by convolutions.
    """

    in_channels: int
    out_channels: int
    width: int
    multipliers: tuple[int | float, ...]
    blocks: int
    attention: tuple[int, ...]
    classes: int | None
    scale_shift: bool
    resampling_blocks: bool

    def channels(self, level: int) -> int:
        """Channels of a level."""
        return int(self.multipliers[level] * self.width)


@dataclass(frozen=True)
class Heads:
    """How attention splits its channels into heads, which no shape tells.

    Attributes:
        count: heads on the way down and in the middle, unless ``width`` is given.
        count_up: heads on the way up, unless ``width`` is given.
        width: channels of one head.
        after_split: whether heads are taken after the split into queries, keys and values
            (the "new attention order"), or before it.
    """

    count: int
    count_up: int
    width: int | None
    after_split: bool

    def down(self, channels: int) -> int:
        """Heads of an attention over so many channels on the way down or in the middle."""
        return channels // self.width if self.width else self.count

    def up(self, channels: int) -> int:
        """Heads of an attention over so many channels on the way up."""
        return channels // self.width if self.width else self.count_up


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(GROUPS, channels)


class Up(nn.Module):
    """Twice the size by repetition, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """conv(repeat(x)), of twice the height and width."""
        return self.conv(nn.functional.interpolate(x, scale_factor=2))


class Down(nn.Module):
    """Half the size by a convolution with stride."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """op(x), of half the height and width."""
        return self.op(x)


class Residual(nn.Module):
    """Two convolutions with the time embedding between them; ``resample`` acts on both branches."""

    def __init__(
        self, channels: int, out: int, embedding: int, scale_shift: bool, resample: nn.Module
    ) -> None:
        super().__init__()
        self.scale_shift, self.resample = scale_shift, resample
        self.in_layers = nn.Sequential(
            _norm(channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(
            nn.SiLU(), nn.Linear(embedding, 2 * out if scale_shift else out)
        )
        self.out_layers = nn.Sequential(
            _norm(out), nn.SiLU(), nn.Identity(), nn.Conv2d(out, out, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if out == channels else nn.Conv2d(channels, out, 1)

    def forward(
        self, x: Float[Tensor, "b c h w"], embedding: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b c2 h2 w2"]:
        """skip(resample(x)) + the convolutions of x, modulated by the embedding."""
        normalize, activate, convolve = self.in_layers
        hidden = convolve(self.resample(activate(normalize(x))))
        modulation = self.emb_layers(embedding)[:, :, None, None]
        if self.scale_shift:
            scale, shift = modulation.chunk(2, dim=1)
            hidden = self.out_layers[1:](self.out_layers[0](hidden) * (1 + scale) + shift)
        else:
            hidden = self.out_layers(hidden + modulation)
        return self.skip_connection(self.resample(x)) + hidden


class QKVAttention(nn.Module):
    """Self-attention: every pixel attends to every pixel of the same image."""

    def __init__(self, channels: int, heads: int, after_split: bool) -> None:
        super().__init__()
        self.heads, self.after_split = heads, after_split
        self.norm = _norm(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """x + proj(softmax(q k^T / sqrt(d)) v), head by head."""
        flat = x.flatten(2)
        split = (3, self.heads) if self.after_split else (self.heads, 3)
        parts = self.qkv(self.norm(flat)).unflatten(1, (*split, -1)).transpose(-1, -2)
        queries, keys, values = parts.unbind(1 if self.after_split else 2)
        attended = nn.functional.scaled_dot_product_attention(queries, keys, values)
        return (flat + self.proj_out(attended.transpose(-1, -2).flatten(1, 2))).view_as(x)


class Block(nn.Sequential):
    """Layers in sequence; the residual ones are given the embedding too."""

    def forward(  # type: ignore[override]
        self, x: Float[Tensor, "b c h w"], embedding: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b c2 h2 w2"]:
        """The output of the last layer."""
        for layer in self:
            x = layer(x, embedding) if isinstance(layer, Residual) else layer(x)
        return x


class GuidedUNet(nn.Module):
    """The U-Net of both programs.

    Args:
        architecture: what the shapes of its weights tell.
        heads: how attention splits its channels.
    """

    def __init__(self, architecture: GuidedArchitecture, heads: Heads) -> None:
        super().__init__()
        self.architecture, self.heads = architecture, heads
        width, embedding = architecture.width, self._embedding
        self.time_embed = nn.Sequential(
            nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        if architecture.classes is not None:
            self.label_emb = nn.Embedding(architecture.classes, embedding)
        blocks, skips = self._downwards()
        self.input_blocks, self.middle_block = nn.ModuleList(blocks), self._middle()
        self.output_blocks = nn.ModuleList(self._upwards(skips))
        first = architecture.channels(0)
        self.out = nn.Sequential(
            _norm(first), nn.SiLU(), nn.Conv2d(first, architecture.out_channels, 3, padding=1)
        )

    @property
    def _embedding(self) -> int:
        return 4 * self.architecture.width

    def _residual(self, channels: int, out: int, resample: nn.Module | None = None) -> Residual:
        scale_shift = self.architecture.scale_shift
        return Residual(channels, out, self._embedding, scale_shift, resample or nn.Identity())

    def _attention(self, channels: int, heads: int) -> QKVAttention:
        return QKVAttention(channels, heads, self.heads.after_split)

    def _downwards(self) -> tuple[list[Block], list[int]]:
        """The blocks of the encoder, and the channels of what each of them returns."""
        a, channels = self.architecture, self.architecture.channels(0)
        blocks, skips = [Block(nn.Conv2d(a.in_channels, channels, 3, padding=1))], [channels]
        for level in range(len(a.multipliers)):
            if level > 0:
                blocks.append(
                    Block(self._residual(channels, channels, nn.AvgPool2d(2)))
                    if a.resampling_blocks
                    else Block(Down(channels))
                )
                skips.append(channels)
            for _ in range(a.blocks):
                layers: list[nn.Module] = [self._residual(channels, a.channels(level))]
                channels = a.channels(level)
                if level in a.attention:
                    layers.append(self._attention(channels, self.heads.down(channels)))
                blocks.append(Block(*layers))
                skips.append(channels)
        return blocks, skips

    def _middle(self) -> Block:
        channels = self.architecture.channels(-1)
        return Block(
            self._residual(channels, channels),
            self._attention(channels, self.heads.down(channels)),
            self._residual(channels, channels),
        )

    def _upwards(self, skips: list[int]) -> Iterator[Block]:
        """The blocks of the decoder, each of which is given one of the skips."""
        a, channels = self.architecture, self.architecture.channels(-1)
        for level in reversed(range(len(a.multipliers))):
            for block in range(a.blocks + 1):
                layers: list[nn.Module] = [
                    self._residual(channels + skips.pop(), a.channels(level))
                ]
                channels = a.channels(level)
                if level in a.attention:
                    layers.append(self._attention(channels, self.heads.up(channels)))
                if level > 0 and block == a.blocks:
                    layers.append(
                        self._residual(channels, channels, nn.Upsample(scale_factor=2))
                        if a.resampling_blocks
                        else Up(channels)
                    )
                yield Block(*layers)

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        times: Real[Tensor, "b"],
        labels: Int64[Tensor, "b"] | None = None,
    ) -> Float[Tensor, "b c2 h w"]:
        """Images (b, in_channels, h, w) at network times (b,) -> (b, out_channels, h, w)."""
        embedding = self.time_embed(sinusoids(times, self.architecture.width).to(x))
        if labels is not None:
            embedding = embedding + self.label_emb(labels)
        skips = []
        for block in self.input_blocks:
            x = block(x, embedding)
            skips.append(x)
        x = self.middle_block(x, embedding)
        for block in self.output_blocks:
            x = block(torch.cat([x, skips.pop()], dim=1), embedding)
        return self.out(x)


def sinusoids(times: Real[Tensor, "b"], width: int) -> Float[Tensor, "b width"]:
    """Cosines, then sines, of times at frequencies from 1 down towards 1e-4; the width is even."""
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float32, device=times.device) / half
    angles = times.float()[:, None] * torch.exp(-math.log(10_000) * exponents)
    return torch.cat([angles.cos(), angles.sin()], dim=1)
