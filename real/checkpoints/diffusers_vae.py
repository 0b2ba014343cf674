"""The autoencoder of a latent diffusers pipeline, variational or vector-quantized, as a codec."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, VQModel
from torch import Tensor

from real.checkpoints.base import Codec
from real.checkpoints.diffusers_folder import load_part, read_json
from theory.errors import InputError

AUTOENCODERS = {"AutoencoderKL": AutoencoderKL, "VQModel": VQModel}


def load_vae(folder: Path, device: Any) -> Any:
    """The autoencoder in a pipeline's ``vae/`` or ``vqvae/``.

    Raises:
        InputError: it is not there, of an unknown class, or broken.
    """
    name = read_json(folder / "config.json").get("_class_name")
    if name not in AUTOENCODERS:
        raise InputError(
            f"checkpoint: expected an autoencoder {' or '.join(AUTOENCODERS)} in {folder}, got {name}"
        )
    return load_part(AUTOENCODERS[name], folder, device)[0]


def codec(vae: Any, latent: tuple[int, int, int]) -> Codec:
    """Images to latents (c, h, w) and back.

    A latent is (mode - offset) * scale, with the offset and the scale that diffusers' pipelines
    read from the configuration (shift_factor or latents_mean; scaling_factor and latents_std).

    Raises:
        InputError: the autoencoder's latents have another number of channels.
    """
    channels, height, width = latent
    own = vae.config.get("vq_embed_dim") or vae.config.latent_channels
    if own != channels:
        raise InputError(
            f"checkpoint: expected an autoencoder with {channels} latent channels, as the network "
            f"takes, got {own}"
        )
    mean = vae.config.get("latents_mean") or vae.config.get("shift_factor") or 0.0
    offset = _per_channel(mean, vae)
    scale = vae.config.scaling_factor / _per_channel(vae.config.get("latents_std") or 1.0, vae)
    factor = 2 ** (len(vae.config.block_out_channels) - 1)

    def encode(images: Tensor) -> Tensor:
        coded = vae.encode(images.to(vae.device, vae.dtype))
        mode = coded.latent_dist.mode() if "latent_dist" in coded else coded.latents
        return ((mode - offset.to(mode)) * scale.to(mode)).to(images)

    def decode(latents: Tensor) -> Tensor:
        z = latents.to(vae.device, vae.dtype)
        return vae.decode(z / scale.to(z) + offset.to(z)).sample.to(latents)

    return Codec((vae.config.in_channels, height * factor, width * factor), encode, decode)


def _per_channel(value: Any, vae: Any) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float32, device=vae.device).reshape(1, -1, 1, 1)
