"""Load EDM2 pickles: the magnitude-preserving U-Net (NVlabs/edm2; Karras et al. 2024).

Such a file is a pickled dictionary whose ``ema`` is a persistent object of the class ``Precond``.
Schedule, target and conditions are those of ``real.families.edm.loader``. Weights keep the 16 bits
that published files store them in; as upstream, they are normalized in float32.

Networks for 512 x 512 images work on latents (4, 64, 64). The file does not hold their autoencoder
but names it: ``encoder`` is a persistent object of the class ``StabilityVAEEncoder``, whose
constructor has its Hub id and the mean and deviation by which latents are standardized. A folder
or another Hub id may be named as ``vae`` in the JSON beside the file; null there leaves it out, and
images are then latents.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from real.families.checkpoint import Checkpoint, Family, Source
from real.families.diffusers.vae import bare_autoencoder, load_vae, scaled_codec
from real.families.edm.loader import (
    constructor_arguments,
    denoiser_checkpoint,
    has_ema,
    named_arguments,
)
from real.families.edm2.unet import MPBlockStyle, MPDenoiser, MPUNet
from real.files.hub import download
from real.files.network_pickles import PickledObject
from real.files.state_dicts import with_weights
from theory.support.errors import InputError

NAME = "edm2"
ORDER = {
    "Precond": (
        "img_resolution", "img_channels", "label_dim", "use_fp16", "sigma_data", "logvar_channels",
    )
}  # fmt: skip
"""Arguments of upstream's constructor in their order, for files that hold them without names."""

WITHOUT_EFFECT = {"use_fp16", "dropout"}
"""Arguments without effect on a stored network in evaluation mode."""

ON_LATENTS = "StabilityVAEEncoder"
ENCODER: Mapping[str, Any] = {
    "vae_name": "stabilityai/sd-vae-ft-mse",
    "raw_mean": [5.81, 3.25, 0.12, -2.15],
    "raw_std": [4.17, 4.62, 3.71, 3.28],
    "final_mean": 0.0,
    "final_std": 0.5,
}
"""Arguments of upstream's encoder in their order, with their defaults."""


def load(source: Source, device: Any) -> Checkpoint:
    """The network under ``ema``.

    Raises:
        InputError: arguments or tensors are missing, left over, or do not fit; or the autoencoder
            cannot be found.
    """
    ema = named_arguments(source, ORDER)
    network = with_weights(partial(_build, ema), ema.state, ema.class_name)
    checkpoint = denoiser_checkpoint(source, NAME, network, ema, device)
    encoder = source.content.get("encoder")
    if not (isinstance(encoder, PickledObject) and encoder.class_name == ON_LATENTS):
        return checkpoint
    return _on_latents(checkpoint, source, encoder, device)


def _on_latents(
    checkpoint: Checkpoint, source: Source, encoder: PickledObject, device: Any
) -> Checkpoint:
    """The checkpoint with its autoencoder, which upstream gives pixels in [0, 1] and whose latents it
    standardizes."""
    told = {**ENCODER, **dict(zip(ENCODER, encoder.args, strict=False)), **encoder.kwargs}
    name = source.sidecar.get("vae", told["vae_name"])
    if name is None:
        return checkpoint
    mean, std, final_mean, final_std = (
        _numbers(told[key]) for key in ("raw_mean", "raw_std", "final_mean", "final_std")
    )
    vae = load_vae(_autoencoder(str(name), source), device)
    scale = final_std / std
    codec = scaled_codec(vae, checkpoint.shape, mean - final_mean / scale, scale, lowest=0.0)
    return replace(checkpoint, codec=codec, modules={**checkpoint.modules, "vae": vae})


def _numbers(value: Any) -> torch.Tensor:
    try:
        return torch.tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"checkpoint: expected numbers in {ON_LATENTS}, got {value!r:.40}"
        ) from error


def _autoencoder(name: str, source: Source) -> Path:
    beside = source.path.parent / name
    if beside.is_dir():
        return beside
    try:
        return download(name, bare_autoencoder)
    except InputError as error:
        raise InputError(
            f"checkpoint: {source.reference} works on latents of the autoencoder {name}, which is "
            f"neither a folder beside it nor to be had from the Hub; name another as vae in "
            f"{source.path.with_suffix('.json').name}, or null there to give latents as images"
        ) from error


def _build(ema: PickledObject) -> MPDenoiser:
    arguments = {k: v for k, v in constructor_arguments(ema).items() if k not in WITHOUT_EFFECT}
    outer = _taken(arguments, ("sigma_data", "logvar_channels"))
    style = _taken(arguments, tuple(field.name for field in fields(MPBlockStyle)))
    return MPDenoiser(MPUNet(style=MPBlockStyle(**style), **arguments), **outer)


def _taken(arguments: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: arguments.pop(name) for name in names if name in arguments}


FAMILY = Family(NAME, lambda source: has_ema(source, ORDER), load)
