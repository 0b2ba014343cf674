"""A repaired network on disk: its encoded weights, its calibration, and the name of its original.

``repaired.json`` names the original, from which come the architecture, the schedule and whatever else
a network needs; ``network.safetensors`` holds every parameter, the damaged ones as codes and scales;
``calibration.safetensors`` is as ``calibrate`` writes it. What a library quantizes is not stored but
quantized again.

A folder may come from anywhere, so the original that it names is only ever read as weights. Where the
original is a user's own network, the user loads it and calls ``restored``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_type_hints

from safetensors.torch import load_file, save_file
from torch import Tensor

from real.compress import torchao_formats as library
from real.compress.formats import Parts
from real.compress.quantize import Damage, decode_into, encode_damaged
from real.families import own_code
from real.families.checkpoint import Checkpoint
from theory.support.errors import InputError, refusing
from theory.support.output import write_json
from theory.support.safe_reading import read_json_object
from theory.support.safe_tensors import require_header

NAME = "repaired"
"""Name of the family of such folders."""

MANIFEST = "repaired.json"
NETWORK = "network.safetensors"
CALIBRATION = "calibration.safetensors"
FORMAT = "diffusion-martingale repaired network 1"
SEPARATOR = "/"


@dataclass(frozen=True)
class Manifest:
    """The content of ``repaired.json``.

    Attributes:
        original, family: reference of the original network, and its family; None if its content
            tells the family.
        original_fingerprint, fingerprint: of the original, and of the damaged network.
        quantize, prune: the damage.
        format: of the folder.
    """

    original: str
    family: str | None
    original_fingerprint: str
    fingerprint: str
    quantize: str | None
    prune: float | None
    format: str = FORMAT

    @property
    def damage(self) -> Damage:
        """How the weights of the original were damaged."""
        return Damage(self.quantize, self.prune)


def save_repaired(folder: Path, original: Checkpoint, damage: Damage, network: Checkpoint) -> None:
    """Write a damaged network into an existing folder; its calibration belongs there as ``CALIBRATION``."""
    if damage.quantize not in library.NAMES:
        parts = {
            f"{name}{SEPARATOR}{part}": tensor
            for name, encoded in encode_damaged(original, damage).items()
            for part, tensor in encoded.items()
        }
        save_file(parts, folder / NETWORK, {"format": FORMAT})
    family = None if original.family == own_code.NAME else original.family
    manifest = Manifest(
        original.reference, family, original.fingerprint, network.fingerprint,
        damage.quantize, damage.prune,
    )  # fmt: skip
    write_json(folder / MANIFEST, vars(manifest))


def restored(folder: Path, original: Checkpoint) -> Checkpoint:
    """The damaged network in a folder, uncalibrated; its calibration lies beside it.

    Args:
        folder: the folder of a repaired network.
        original: the original, freshly loaded; its weights are overwritten.

    Raises:
        InputError: the network was made from another original, or a file is missing or broken.
    """
    manifest = read_manifest(folder)
    if original.fingerprint != manifest.original_fingerprint:
        raise InputError(
            f"checkpoint: {folder} was made from another {manifest.original} than there is now"
        )
    damage = manifest.damage
    if damage.quantize in library.NAMES:
        encoded: Mapping[str, Parts] = encode_damaged(original, damage)
    else:
        encoded = _encoded(folder / NETWORK)
    try:
        network = decode_into(original, damage, encoded)
    except (KeyError, RuntimeError, ValueError) as error:
        raise InputError(f"checkpoint: {folder / NETWORK} is broken") from error
    if network.fingerprint != manifest.fingerprint:
        raise InputError(f"checkpoint: {folder / NETWORK} is not what {MANIFEST} says")
    return replace(network, reference=str(folder), family=NAME)


def read_manifest(folder: Path) -> Manifest:
    """The content of a folder's ``repaired.json``.

    Raises:
        InputError: it is missing, broken or of another format.
    """
    path = folder / MANIFEST
    try:
        manifest = Manifest(**read_json_object(path, "checkpoint"))
    except TypeError as error:
        raise InputError(f"checkpoint: {path} cannot be read as a manifest") from error
    for name, kind in get_type_hints(Manifest).items():
        if not isinstance(getattr(manifest, name), kind):
            raise InputError(f"checkpoint: {path} cannot be read as a manifest: {name} is no such")
    if manifest.format != FORMAT:
        raise InputError(f"checkpoint: expected {FORMAT!r} in {path}, got {manifest.format!r:.80}")
    return manifest


def _encoded(path: Path) -> dict[str, Parts]:
    require_header(path, "checkpoint")
    with refusing(f"checkpoint: {path} is missing, truncated or broken"):
        tensors = load_file(path)
    encoded: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        weight, _, part = name.rpartition(SEPARATOR)
        encoded.setdefault(weight, {})[part] = tensor
    return dict(encoded)
