"""DDPM's U-Net as diffusers' ``UNet2DModel``: its architecture, and how its weights are named.

Ho, Jain & Abbeel, "Denoising Diffusion Probabilistic Models" (2020), with the names of
pytorch_diffusion and of DDIM. Attention there is by 1x1 convolutions, here by linear layers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class DDPMArchitecture:
    """What the shapes in a state file tell of DDPM's network.

    Attributes:
        in_channels, out_channels: of the images, and of the prediction.
        width: base number of channels.
        multipliers: channels over ``width``, one per level, from the finest.
        blocks: residual blocks per level on the way down; one more on the way up.
        attention: the levels that have attention, 0 the finest.
    """

    in_channels: int
    out_channels: int
    width: int
    multipliers: tuple[int, ...]
    blocks: int
    attention: tuple[int, ...]

    def config(self, image_size: int) -> dict[str, Any]:
        """The arguments of ``UNet2DModel`` for images of that size."""
        levels = range(len(self.multipliers))
        down = ["AttnDownBlock2D" if level in self.attention else "DownBlock2D" for level in levels]
        up = ["AttnUpBlock2D" if level in self.attention else "UpBlock2D" for level in levels]
        return {
            "sample_size": image_size, "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "block_out_channels": [self.width * multiplier for multiplier in self.multipliers],
            "layers_per_block": self.blocks, "down_block_types": down, "up_block_types": up[::-1],
            "downsample_padding": 0, "flip_sin_to_cos": False, "freq_shift": 1, "norm_eps": 1e-6,
            "attention_head_dim": None,
        }  # fmt: skip


RESIDUAL = {
    "norm1": "norm1", "conv1": "conv1", "temb_proj": "time_emb_proj", "norm2": "norm2",
    "conv2": "conv2", "nin_shortcut": "conv_shortcut",
}  # fmt: skip
ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
OUTSIDE = {
    "temb.dense.0": "time_embedding.linear_1", "temb.dense.1": "time_embedding.linear_2",
    "conv_in": "conv_in", "norm_out": "conv_norm_out", "conv_out": "conv_out",
}  # fmt: skip
MIDDLE = {"block_1": "resnets.0", "attn_1": "attentions.0", "block_2": "resnets.1"}
LEVELED = re.compile(r"(down|up)\.(\d+)\.(block|attn)\.(\d+)\.(\w+)")
RESAMPLING = re.compile(r"(down|up)\.(\d+)\.(downsample|upsample)\.conv")
CENTRAL = re.compile(r"mid\.(block_1|attn_1|block_2)\.(\w+)")


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state with pytorch_diffusion's names as a state of ``UNet2DModel``; unknown names stay."""
    levels = len({name.split(".")[1] for name in state if name.startswith("up.")})
    result = {}
    for name, tensor in state.items():
        layer, _, kind = name.rpartition(".")
        if re.search(r"attn(_1|\.\d+)\.(q|k|v|proj_out)$", layer) and kind == "weight":
            tensor = tensor.flatten(1)
        result[f"{_renamed(layer, levels)}.{kind}"] = tensor
    return result


def _renamed(layer: str, levels: int) -> str:
    if layer in OUTSIDE:
        return OUTSIDE[layer]
    if match := LEVELED.fullmatch(layer):
        way, level, kind, index, part = match.groups()
        group, parts = ("resnets", RESIDUAL) if kind == "block" else ("attentions", ATTENTION)
        return f"{_level(way, int(level), levels)}.{group}.{index}.{parts.get(part, part)}"
    if match := RESAMPLING.fullmatch(layer):
        way, level, kind = match.groups()
        return f"{_level(way, int(level), levels)}.{kind}rs.0.conv"
    if match := CENTRAL.fullmatch(layer):
        place, part = match.groups()
        parts = ATTENTION if place == "attn_1" else RESIDUAL
        return f"mid_block.{MIDDLE[place]}.{parts.get(part, part)}"
    return layer


def _level(way: str, level: int, levels: int) -> str:
    """diffusers counts the way up from the coarsest level, DDPM from the finest."""
    return f"{way}_blocks.{level if way == 'down' else levels - 1 - level}"


def build(architecture: DDPMArchitecture, image_size: int) -> Any:
    """The ``UNet2DModel``, without its weights; diffusers is imported here, where it is needed."""
    from diffusers import UNet2DModel

    return UNet2DModel(**architecture.config(image_size))
