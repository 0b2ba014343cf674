"""Small untrained pipelines in diffusers' own format, and one quick calibration of the digits."""

from pathlib import Path

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from real.calibrated.calibrate import calibrate_checkpoint
from real.checkpoints import load
from real.images.opening import open_images


def save_pipeline(folder: Path, shape=(3, 16, 16), safe=True, **scheduler) -> Path:
    """An untrained pipeline with random weights, saved by diffusers itself."""
    channels, size, _ = shape
    with torch.random.fork_rng(devices=[]):
        network = UNet2DModel(
            sample_size=size,
            in_channels=channels,
            out_channels=channels,
            layers_per_block=1,
            block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
            norm_num_groups=4,
        )
    DDPMPipeline(network, DDPMScheduler(**scheduler)).save_pretrained(
        folder, safe_serialization=safe
    )
    return folder


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory) -> Path:
    return save_pipeline(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(scope="session")
def digits_checkpoint():
    return load("digits")


@pytest.fixture(scope="session")
def digits_calibration(tmp_path_factory, digits_checkpoint) -> Path:
    path = tmp_path_factory.mktemp("calibration") / "digits.safetensors"
    calibration = calibrate_checkpoint(
        digits_checkpoint,
        open_images("digits", "calibration", digits_checkpoint.shape, limit=64),
        digits_checkpoint.schedule.grid(4),
        seed=0,
        draws=1,
        device="cpu",
    )
    calibration.save(path)
    return path
