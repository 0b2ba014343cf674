"""The networks and images that a device is checked with."""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DModel

from real.checkpoints.loading import load
from real.experiments.training.networks import unet
from real.families.checkpoint import Checkpoint
from real.images.base import ImageSource, Role
from real.images.digits import digits_source
from theory.diffusion.schedules import DiscreteSchedule
from theory.diffusion.targets import NOISE

SHIPPED = ("digits", "fashion")
ROLES: tuple[Role, ...] = ("calibration", "held-out")


@dataclass(frozen=True)
class Scale:
    """How much is tried.

    Attributes:
        times: at which calibrations are made.
        images: of the comparisons with the CPU.
        nfe: evaluations per sample.
        turns: how often each of two programs is timed.
        batches: calls at each time, of the calibrations that are timed.
        most: the largest batch size that is tried.
        networks: names of the networks that are timed.
        compiled: names of those that are called in several ways, compiled among them.
    """

    times: int
    images: int
    nfe: int
    turns: int
    batches: int
    most: int
    networks: tuple[str, ...]
    compiled: tuple[str, ...]


WHOLE = Scale(4, 256, 10, 3, 4, 1024, (*SHIPPED, "unet-36m", "unet-265m"), ("digits", "unet-36m"))
SMALL = Scale(2, 16, 2, 1, 2, 4, (*SHIPPED, "unet-tiny"), ("unet-tiny",))


def _linear_alphas() -> torch.Tensor:
    """Products of 1 - beta over DDPM's 1,000 steps, betas from 1e-4 to 0.02 in a line."""
    return (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)


def _unet_36m() -> UNet2DModel:
    """As DDPM's for CIFAR-10."""
    return unet(
        0, 3, 32, layers_per_block=2, block_out_channels=(128, 256, 256, 256),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=64,
    )  # fmt: skip


def _unet_265m() -> UNet2DModel:
    """About as large as guided diffusion's for ImageNet at 64x64."""
    return unet(
        0, 3, 64, layers_per_block=3, block_out_channels=(192, 384, 576, 768),
        down_block_types=("DownBlock2D", *["AttnDownBlock2D"] * 3),
        up_block_types=(*["AttnUpBlock2D"] * 3, "UpBlock2D"),
        attention_head_dim=64,
    )  # fmt: skip


def _unet_tiny() -> UNet2DModel:
    """For trying the check itself."""
    return unet(
        0, 3, 8, layers_per_block=1, block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )  # fmt: skip


UNTRAINED = {"unet-36m": _unet_36m, "unet-265m": _unet_265m, "unet-tiny": _unet_tiny}


def subject(name: str, device: torch.device) -> Checkpoint:
    """A network that ships, or one with random weights, on a device."""
    if name in SHIPPED:
        return load(name, device)
    network = UNTRAINED[name]().to(device).eval()

    def predict(x_t: torch.Tensor, t: torch.Tensor, condition: Any = None) -> torch.Tensor:
        """The predicted noise."""
        return network(x_t, t).sample

    size = network.config.sample_size
    return Checkpoint(
        reference=name, family="untrained", predict=predict, schedule=DiscreteSchedule(_linear_alphas()),
        target=NOISE, shape=(3, size, size), conditions=None, fingerprint="untrained",
        modules={"unet": network},
    )  # fmt: skip


def weights(checkpoint: Checkpoint) -> int:
    """How many weights its networks have."""
    return sum(p.numel() for m in checkpoint.modules.values() for p in m.parameters())


def images_of(
    checkpoint: Checkpoint, count: int, batch_size: int, role: Role = "calibration"
) -> ImageSource:
    """Digits for the digits network, if there are as many; otherwise images without meaning.

    Only arithmetic and speed are looked at, which do not depend on it.
    """
    if checkpoint.reference == "digits":
        source = digits_source(role, checkpoint.shape)
        if count <= len(source):
            return ImageSource.of("digits", source.load(range(count)), batch_size=batch_size)
    drawn = torch.Generator().manual_seed(ROLES.index(role))
    images = torch.rand(count, *checkpoint.shape, generator=drawn) * 2 - 1
    labels = None
    if isinstance(checkpoint.conditions, int):
        labels = torch.arange(count) % checkpoint.conditions
    return ImageSource.of("drawn", images, labels=labels, batch_size=batch_size)
