"""Any diffusers folder: the family is told from the class of its network."""

from pathlib import Path
from typing import Any

from real.checkpoints import diffusers_dit, diffusers_sd3, diffusers_text_unet, diffusers_unet
from real.checkpoints.base import Checkpoint, Source
from real.checkpoints.diffusers_folder import class_name
from theory.errors import InputError

FAMILIES = (
    diffusers_unet.FAMILY,
    diffusers_text_unet.FAMILY,
    diffusers_dit.FAMILY,
    diffusers_sd3.FAMILY,
)


def load_folder(folder: Path, reference: str, device: Any) -> Checkpoint:
    """Load the network of a diffusers folder, with all that it is conditioned by.

    Raises:
        InputError: files are missing or broken, or the network is of another class.
    """
    source = Source(reference, folder)
    found = class_name(folder)
    for family in FAMILIES:
        if family.recognizes(source):
            return family.load(source, device)
    raise InputError(
        "checkpoint: expected a UNet2DModel, UNet2DConditionModel, DiTTransformer2DModel or "
        f"SD3Transformer2DModel in {folder}, got {found}"
    )
