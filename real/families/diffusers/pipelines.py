"""Any diffusers folder: the family is told from the class of its network.

What a folder's configuration says is enough to refuse it, before any weights are there.
"""

from pathlib import Path
from typing import Any

from real.families.checkpoint import Checkpoint, Family, Source
from real.families.diffusers import (
    dit as diffusers_dit,
)
from real.families.diffusers import (
    sd3 as diffusers_sd3,
)
from real.families.diffusers import (
    text_unet as diffusers_text_unet,
)
from real.families.diffusers import (
    unet as diffusers_unet,
)
from real.families.diffusers.folder import class_name, network_part, require_plain, scheduler_config
from real.families.diffusers.process import process_of
from real.families.diffusers.text import named_encoders
from real.families.diffusers.vae import autoencoder_class, autoencoder_part
from theory.support.errors import InputError

FAMILIES = (
    diffusers_unet.FAMILY,
    diffusers_text_unet.FAMILY,
    diffusers_dit.FAMILY,
    diffusers_sd3.FAMILY,
)
TEXT_FAMILIES = (diffusers_text_unet.FAMILY, diffusers_sd3.FAMILY)


def load_folder(folder: Path, reference: str, device: Any) -> Checkpoint:
    """Load the network of a diffusers folder, with all that it is conditioned by.

    Raises:
        InputError: files are missing or broken, or the network is of another class.
    """
    source = Source(reference, folder)
    return _family(source).load(source, device)


def needed_parts(folder: Path) -> list[str]:
    """The subfolders whose weights are loaded, told from the configuration alone.

    Raises:
        InputError: the network, its scheduler, its autoencoder or a text encoder is of a class that
            is not loaded here or asks for code of its own, or their configuration is missing or
            broken.
    """
    family = _family(Source(str(folder), folder))
    process_of(scheduler_config(folder))
    parts = [network_part(folder)]
    vae = autoencoder_part(folder)
    if vae:
        autoencoder_class(folder / vae)
        parts.append(vae)
    if family in TEXT_FAMILIES:
        parts += [part for part, encoder in named_encoders(folder).items() if encoder]
    for part in parts:
        require_plain(folder / part)
    return parts


def _family(source: Source) -> Family:
    found = class_name(source.path)
    for family in FAMILIES:
        if family.recognizes(source):
            return family
    raise InputError(
        "checkpoint: expected a UNet2DModel, UNet2DConditionModel, DiTTransformer2DModel or "
        f"SD3Transformer2DModel in {source.path}, got {found}"
    )
