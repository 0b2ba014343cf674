"""Load a pretrained network from a folder or the Hub, as a ``Checkpoint``. None ever runs code."""

from pathlib import Path
from typing import Any

from real.checkpoints.base import Checkpoint
from real.checkpoints.diffusers_unet import load_folder
from real.checkpoints.hub import download

__all__ = ["EMBEDDED", "Checkpoint", "load"]

ASSETS = Path(__file__).parent.parent / "assets"
EMBEDDED = {"digits": ASSETS / "digits", "fashion": ASSETS / "fashion"}
"""Networks that ship with the toolkit, by name."""


def load(reference: str | Path, device: Any = "cpu") -> Checkpoint:
    """Load a checkpoint by name (``digits``), by local diffusers folder, or by Hub id.

    Raises:
        InputError: there is no such thing, it cannot be reached, or it is of another kind.
    """
    name = str(reference)
    folder = EMBEDDED.get(name) or (Path(name) if Path(name).exists() else download(name))
    return load_folder(folder, name, device)
