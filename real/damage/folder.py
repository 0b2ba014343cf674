"""A repaired network on disk: its stored weights, its calibration, and where the rest comes from.

``repaired.json`` names the original, which gives the architecture, the schedule and what else a
network needs; ``network.safetensors`` has every parameter, the damaged ones as codes and scales;
``calibration.safetensors`` is as ``calibrate`` writes it. What a library quantizes is not stored
but quantized again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from real import calibrations, checkpoints
from real.checkpoints.base import Checkpoint, Source
from real.checkpoints.repaired import MANIFEST, NAME
from real.damage import library
from real.damage.formats import Parts
from real.damage.networks import Damage, encode, with_weights
from theory.calibration import Calibration
from theory.errors import InputError
from theory.program import write_json

NETWORK = "network.safetensors"
CALIBRATION = "calibration.safetensors"
FORMAT = "diffusion-martingale repaired network 1"
SEPARATOR = "/"


@dataclass(frozen=True)
class Manifest:
    """What ``repaired.json`` says.

    Attributes:
        original, family: reference of the original network, and its family; None lets its content
            decide.
        original_fingerprint, fingerprint: of the original, and of what was made of it.
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
        """What was done to the original."""
        return Damage(self.quantize, self.prune)


def save(
    folder: Path,
    original: Checkpoint,
    damage: Damage,
    network: Checkpoint,
    calibration: Calibration,
) -> None:
    """Write the damaged network and its calibration into an existing folder."""
    if damage.quantize not in library.NAMES:
        parts = {
            f"{name}{SEPARATOR}{part}": tensor
            for name, stored in encode(original, damage).items()
            for part, tensor in stored.items()
        }
        save_file(parts, folder / NETWORK, {"format": FORMAT})
    calibrations.save(calibration, folder / CALIBRATION)
    family = None if original.family == "own" else original.family
    manifest = Manifest(
        original.reference, family, original.fingerprint, network.fingerprint,
        damage.quantize, damage.prune,
    )  # fmt: skip
    write_json(folder / MANIFEST, vars(manifest))


def load(source: Source, device: Any) -> Checkpoint:
    """The damaged network, uncalibrated; its calibration lies beside it.

    Raises:
        InputError: the original is not to be had or another one, or a file is missing or broken.
    """
    manifest = _read(source.path / MANIFEST)
    original = checkpoints.load(manifest.original, device, manifest.family)
    if original.fingerprint != manifest.original_fingerprint:
        raise InputError(
            f"checkpoint: {source.path} was made from another {manifest.original} than there is now"
        )
    damage = manifest.damage
    if damage.quantize in library.NAMES:
        stored: Mapping[str, Parts] = encode(original, damage)
    else:
        stored = _parts(source.path / NETWORK)
    try:
        network = with_weights(original, damage, stored)
    except (KeyError, RuntimeError, ValueError) as error:
        raise InputError(f"checkpoint: {source.path / NETWORK} is broken") from error
    if network.fingerprint != manifest.fingerprint:
        raise InputError(f"checkpoint: {source.path / NETWORK} is not what {MANIFEST} says")
    return replace(network, reference=source.reference, family=NAME)


def _read(path: Path) -> Manifest:
    try:
        content = json.loads(path.read_text())
        manifest = Manifest(**content)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"checkpoint: {path} cannot be read as a manifest") from error
    if manifest.format != FORMAT:
        raise InputError(f"checkpoint: expected {FORMAT!r} in {path}, got {manifest.format!r}")
    return manifest


def _parts(path: Path) -> dict[str, Parts]:
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"checkpoint: {path} is missing, truncated or broken") from error
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        weight, _, part = name.rpartition(SEPARATOR)
        parts.setdefault(weight, {})[part] = tensor
    return dict(parts)
