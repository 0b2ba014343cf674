"""The families of diffusers folders, each told by the class of its network.

A folder that no family takes is refused by its configuration alone, before any weights are fetched.
"""

from pathlib import Path
from typing import Any

from real.families.checkpoint import Checkpoint, Family, Source
from real.families.diffusers import dit, sd3, text_unet, unet
from real.families.diffusers.folder import class_name, network_part, require_plain, scheduler_config
from real.families.diffusers.process import process_of
from real.families.diffusers.text import named_encoders
from real.families.diffusers.vae import autoencoder_class, autoencoder_part
from theory.support.errors import InputError

FAMILIES = (unet.FAMILY, text_unet.FAMILY, dit.FAMILY, sd3.FAMILY)
TEXT_FAMILIES = (text_unet.FAMILY, sd3.FAMILY)


def load(source: Source, device: Any) -> Checkpoint:
    """The network of a diffusers folder, with all that it is conditioned by.

    Raises:
        InputError: files are missing or broken, or the network is of another class.
    """
    return _family(source).load(source, device)


ANY_FOLDER = Family("diffusers", lambda source: source.path.is_dir(), load)
"""Says what is wrong with a folder that none of ``FAMILIES`` recognizes."""


def needed_parts(folder: Path) -> list[str]:
    """The subfolders whose weights are loaded, by the configuration alone.

    Raises:
        InputError: a configuration is missing or broken, names a class that is not loaded here, or
            asks for code of its own.
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
