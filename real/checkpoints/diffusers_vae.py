"""The variational autoencoder of a latent diffusers pipeline, as a codec."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from real.checkpoints.base import Codec
from real.checkpoints.diffusers_folder import load_part, read_json
from theory.errors import InputError


def load_vae(folder: Path, device: Any) -> Any:
    """The autoencoder in ``vae/``.

    Raises:
        InputError: there is none, or of another class than AutoencoderKL, or it is broken.
    """
    config = folder / "vae" / "config.json"
    if not config.is_file():
        raise InputError(f"checkpoint: expected the autoencoder's vae/config.json in {folder}")
    name = read_json(config).get("_class_name")
    if name != "AutoencoderKL":
        raise InputError(f"checkpoint: expected an AutoencoderKL in {folder / 'vae'}, got {name}")
    return load_part(AutoencoderKL, folder / "vae", device)[0]


def codec(vae: Any, latent: tuple[int, int, int]) -> Codec:
    """Images to latents (c, h, w) and back.

    A latent is (mode - offset) * scale, with the offset and the scale that diffusers' pipelines
    read from the configuration (shift_factor or latents_mean; scaling_factor and latents_std).

    Raises:
        InputError: the autoencoder's latents have another number of channels.
    """
    channels, height, width = latent
    if vae.config.latent_channels != channels:
        raise InputError(
            f"checkpoint: expected an autoencoder with {channels} latent channels, as the network "
            f"takes, got {vae.config.latent_channels}"
        )
    mean = vae.config.latents_mean or vae.config.shift_factor or 0.0
    offset = _per_channel(mean, vae)
    scale = vae.config.scaling_factor / _per_channel(vae.config.latents_std or 1.0, vae)
    factor = 2 ** (len(vae.config.block_out_channels) - 1)

    def encode(images: Tensor) -> Tensor:
        mode = vae.encode(images.to(vae.device, vae.dtype)).latent_dist.mode()
        return ((mode - offset.to(mode)) * scale.to(mode)).to(images)

    def decode(latents: Tensor) -> Tensor:
        z = latents.to(vae.device, vae.dtype)
        return vae.decode(z / scale.to(z) + offset.to(z)).sample.to(latents)

    return Codec((vae.config.in_channels, height * factor, width * factor), encode, decode)


def _per_channel(value: Any, vae: Any) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float32, device=vae.device).reshape(1, -1, 1, 1)
