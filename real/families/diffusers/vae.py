"""The autoencoder of a diffusers pipeline on latents, variational or vector-quantized, as a codec."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from real.families.checkpoint import Codec
from real.families.diffusers.folder import load_part, read_config
from theory.forward.fingerprints import fingerprint
from theory.support.errors import InputError

AUTOENCODERS = ("AutoencoderKL", "VQModel")
PIXELS_AT_ONCE = 2**21
"""Pixels in one call of an autoencoder, whose layers hold hundreds of numbers for each of them."""


def load_vae(folder: Path, device: Any) -> Any:
    """The autoencoder in a folder such as a pipeline's ``vae/`` or ``vqvae/``.

    A VQModel whose configuration has no scaling_factor is older than that setting. Its latents are
    not scaled (huggingface/diffusers issue 6725), although the library would scale them as those of
    Stable Diffusion.

    Raises:
        InputError: there is none, or it is of an unknown class or broken.
    """
    import diffusers

    name, config = autoencoder_class(folder), read_config(folder)
    vae = load_part(getattr(diffusers, name), folder, device)[0]
    if name == "VQModel" and "scaling_factor" not in config:
        vae.register_to_config(scaling_factor=1.0)
    return vae


def autoencoder_part(folder: Path) -> str | None:
    """The subfolder of a pipeline that holds an autoencoder; None if there is none."""
    return next((part for part in ("vae", "vqvae") if (folder / part).is_dir()), None)


def bare_autoencoder(folder: Path) -> list[str]:
    """["."], the needed parts of a folder that is an autoencoder itself.

    Raises:
        InputError: the folder is no autoencoder, or one of an unknown class.
    """
    autoencoder_class(folder)
    return ["."]


def autoencoder_class(folder: Path) -> str:
    """The class of the autoencoder in a folder, one of ``AUTOENCODERS``.

    Raises:
        InputError: there is none, or it is of an unknown class.
    """
    name = read_config(folder).get("_class_name")
    if name not in AUTOENCODERS:
        raise InputError(
            f"checkpoint: expected an autoencoder {' or '.join(AUTOENCODERS)} in {folder}, got {name}"
        )
    return str(name)


def codec_of(vae: Any, latent: tuple[int, ...]) -> Codec:
    """The codec of an autoencoder with latents (c, h, w), scaled as by diffusers' pipelines.

    Offset and scale are those of the autoencoder's configuration: shift_factor or latents_mean,
    scaling_factor and latents_std.

    Raises:
        InputError: the autoencoder's latents have another number of channels.
    """
    mean = vae.config.get("latents_mean") or vae.config.get("shift_factor") or 0.0
    deviation = _per_channel(vae.config.get("latents_std") or 1.0, vae)
    return scaled_codec(vae, latent, mean, vae.config.scaling_factor / deviation)


def scaled_codec(
    vae: Any, latent: tuple[int, ...], offset: Any, scale: Any, lowest: float = -1.0
) -> Codec:
    """The codec of an autoencoder with latents (mode of the posterior - offset) * scale.

    Args:
        vae: the autoencoder.
        latent: (c, h, w) of the latents.
        offset, scale: numbers, or one per channel.
        lowest: the autoencoder's value of black; white is 1.

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
    offset, scale = _per_channel(offset, vae), _per_channel(scale, vae)
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    shape = (vae.config.in_channels, height * factor, width * factor)
    at_once = max(1, PIXELS_AT_ONCE // (shape[1] * shape[2]))
    half, middle = (1 - lowest) / 2, (1 + lowest) / 2

    def encode(images: Tensor) -> Tensor:
        """Latents of images in [-1, 1]."""
        coded = vae.encode(images.to(vae.device, vae.dtype) * half + middle)
        mode = coded.latent_dist.mode() if "latent_dist" in coded else coded.latents
        return ((mode - offset.to(mode)) * scale.to(mode)).to(images)

    def decode(latents: Tensor) -> Tensor:
        """Images in [-1, 1] of latents."""
        z = latents.to(vae.device, vae.dtype)
        pictures = vae.decode(z / scale.to(z) + offset.to(z)).sample
        return ((pictures - middle) / half).to(latents)

    parts = [*vae.state_dict().items(), ("offset", offset), ("scale", scale)]
    return Codec(
        shape,
        _in_parts(encode, at_once),
        _in_parts(decode, at_once),
        fingerprint(parts, str(lowest)),
    )


def _in_parts(call: Callable[[Tensor], Tensor], at_once: int) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.cat([call(part) for part in x.split(at_once)])


def _per_channel(value: Any, vae: Any) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float32, device=vae.device).reshape(1, -1, 1, 1)
