"""A repaired network on disk: its stored weights, its calibration, and where the rest comes from.

``repaired.json`` names the original, which gives the architecture, the schedule and what else a
network needs; ``network.safetensors`` has every parameter, the damaged ones as codes and scales;
``calibration.safetensors`` is as ``calibrate`` writes it. What a library quantizes is not stored
but quantized again.

A folder may come from anywhere, so what it names is only ever read as weights. Where the original
is a user's own network, the user brings it (``restored``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from real import checkpoints
from real.checkpoints.repaired import MANIFEST, NAME
from real.compress import torchao_formats as library
from real.compress.formats import Parts
from real.compress.quantize import Damage, encode, with_weights
from real.families.checkpoint import Checkpoint, Source
from theory.calibration.result import Calibration
from theory.support.errors import InputError
from theory.support.output import write_json
from theory.support.safe_reading import read_json_object, require_regular

NETWORK = "network.safetensors"
CALIBRATION = "calibration.safetensors"
FORMAT = "diffusion-martingale repaired network 1"
SEPARATOR = "/"


KINDS: Mapping[str, Any] = {
    "original": str, "family": str | None, "original_fingerprint": str, "fingerprint": str,
    "quantize": str | None, "prune": float | None, "format": str,
}  # fmt: skip
"""Of the values of ``repaired.json``."""


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
    calibration.save(folder / CALIBRATION)
    family = None if original.family == "own" else original.family
    manifest = Manifest(
        original.reference, family, original.fingerprint, network.fingerprint,
        damage.quantize, damage.prune,
    )  # fmt: skip
    write_json(folder / MANIFEST, vars(manifest))


def load(source: Source, device: Any) -> Checkpoint:
    """The damaged network, uncalibrated; its calibration lies beside it.

    Raises:
        InputError: the original is not to be had, another one, a user's own or repaired itself; or a
            file is missing or broken.
    """
    manifest = _read(source.path / MANIFEST)
    original = checkpoints.load_named_by(source.path, manifest.original, device, manifest.family)
    return replace(_restored(source.path, manifest, original), reference=source.reference)


def restored(folder: Path, original: Checkpoint) -> Checkpoint:
    """The same onto a freshly loaded original, which is changed: for a user's own FILE.py to give.

    Raises:
        InputError: it was made from another original, or a file is missing or broken.
    """
    return replace(_restored(folder, _read(folder / MANIFEST), original), reference=str(folder))


def _restored(folder: Path, manifest: Manifest, original: Checkpoint) -> Checkpoint:
    if original.fingerprint != manifest.original_fingerprint:
        raise InputError(
            f"checkpoint: {folder} was made from another {manifest.original} than there is now"
        )
    damage = manifest.damage
    if damage.quantize in library.NAMES:
        stored: Mapping[str, Parts] = encode(original, damage)
    else:
        stored = _parts(folder / NETWORK)
    try:
        network = with_weights(original, damage, stored)
    except (KeyError, RuntimeError, ValueError) as error:
        raise InputError(f"checkpoint: {folder / NETWORK} is broken") from error
    if network.fingerprint != manifest.fingerprint:
        raise InputError(f"checkpoint: {folder / NETWORK} is not what {MANIFEST} says")
    return replace(network, family=NAME)


def _read(path: Path) -> Manifest:
    try:
        manifest = Manifest(**read_json_object(path, "checkpoint"))
    except TypeError as error:
        raise InputError(f"checkpoint: {path} cannot be read as a manifest") from error
    for name, kind in KINDS.items():
        if not isinstance(getattr(manifest, name), kind):
            raise InputError(f"checkpoint: {path} cannot be read as a manifest: {name} is no such")
    if manifest.format != FORMAT:
        raise InputError(f"checkpoint: expected {FORMAT!r} in {path}, got {manifest.format!r:.80}")
    return manifest


def _parts(path: Path) -> dict[str, Parts]:
    require_regular(path, "checkpoint")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"checkpoint: {path} is missing, truncated or broken") from error
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        weight, _, part = name.rpartition(SEPARATOR)
        parts.setdefault(weight, {})[part] = tensor
    return dict(parts)
