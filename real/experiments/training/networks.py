"""Untrained networks, with weights drawn from a seed."""

from typing import Any

import torch
from diffusers import UNet2DModel


def unet(seed: int, channels: int, size: int, **architecture: Any) -> UNet2DModel:
    """An untrained UNet2DModel for (channels, size, size) images, weights drawn from the seed."""
    with torch.random.fork_rng(devices=[]):  # torch draws initial weights from its global generator
        torch.default_generator.manual_seed(seed)
        return UNet2DModel(
            sample_size=size, in_channels=channels, out_channels=channels, norm_num_groups=8,
            **architecture,
        )  # fmt: skip


def digits_network(seed: int) -> UNet2DModel:
    """For (1, 8, 8) images, unconditional, 0.7 million weights."""
    return unet(
        seed, 1, 8, layers_per_block=1, block_out_channels=(32, 64),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=8,
    )  # fmt: skip


def fashion_network(seed: int) -> UNet2DModel:
    """For (1, 28, 28) images with labels 0 to 10, attention at 7x7, 2.7 million weights."""
    return unet(
        seed, 1, 28, layers_per_block=1, block_out_channels=(32, 64, 128),
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        attention_head_dim=32, num_class_embeds=11,
    )  # fmt: skip


def cifar10_network(seed: int) -> UNet2DModel:
    """For (3, 32, 32) images with labels 0 to 10, attention at 16x16, 9 million weights."""
    return unet(
        seed, 3, 32, layers_per_block=2, block_out_channels=(64, 128, 128, 128),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=64, num_class_embeds=11,
    )  # fmt: skip
