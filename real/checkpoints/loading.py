"""Load a pretrained network of any family as a ``Checkpoint``. No checkpoint ever runs code."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from real.checkpoints.failures import telling
from real.checkpoints.references import is_own_code, require_known
from real.checkpoints.registry import EMBEDDED, NAMED
from real.compress import repaired_folder
from real.families import own_code
from real.families.checkpoint import Checkpoint, Family, Source
from real.families.ddpm import loader as ddpm
from real.families.diffusers import pipelines
from real.families.edm import loader as edm
from real.families.edm2 import loader as edm2
from real.families.guided_diffusion import loader as guided_diffusion
from real.families.score_sde import loader as score_sde
from real.files.checkpoint_files import read_checkpoint_file, sidecar
from real.files.hub import download
from real.files.published_files import fetch
from real.files.state_dicts import state_of
from theory.support.errors import InputError, refusing
from theory.support.output import exists


def load(reference: str | Path, device: Any = "cpu", family: str | None = None) -> Checkpoint:
    """Load a checkpoint.

    Args:
        reference: a name that ships (``digits``) or that the registry knows, a local folder or
            file, a user's own network as FILE.py:NAME, or a Hub id. Names go first: ./NAME is a
            folder that is called like a name.
        device: where the network runs.
        family: name of its family; None is the first that recognizes the content.

    Raises:
        InputError: there is no such checkpoint, it cannot be reached, it is broken, or no family (or
            not the named one) recognizes it.
    """
    name = str(reference)
    among = FAMILIES if family is None else _named(family)
    require_known(name)
    if is_own_code(name):
        if family is not None:
            raise InputError(f"checkpoint: {name} is your own network and of no family")
        return own_code.load(name, device)
    source = _source(name)
    with refusing(f"checkpoint: {name} cannot be loaded"):
        return telling(_recognizing(source, among).load(source, device))


def _is_repaired(source: Source) -> bool:
    return (source.path / repaired_folder.MANIFEST).is_file()


def _load_repaired(source: Source, device: Any) -> Checkpoint:
    """The damaged network in a folder that ``repair`` wrote.

    The folder and not the user names the original, so no code is run for it.
    """
    manifest = repaired_folder.read_manifest(source.path)
    if is_own_code(manifest.original):
        raise InputError(
            f"checkpoint: {source.path} was made from {manifest.original[:80]!r}, and a folder cannot "
            "have code run: give real.restored(folder, original) as your own network"
        )
    require_known(manifest.original)
    original = _source(manifest.original)
    among = FAMILIES if manifest.family is None else _named(manifest.family)
    family = _recognizing(original, among)
    if family.name == repaired_folder.NAME or _is_repaired(original):
        raise InputError(
            f"checkpoint: {source.path} was made from a folder that is repaired itself"
        )
    network = repaired_folder.restored(source.path, family.load(original, device))
    return replace(network, reference=source.reference)


FAMILIES: tuple[Family, ...] = (
    Family(repaired_folder.NAME, _is_repaired, _load_repaired),
    *pipelines.FAMILIES,
    pipelines.ANY_FOLDER,
    ddpm.FAMILY,
    guided_diffusion.FAMILY,
    edm.FAMILY,
    edm2.FAMILY,
    score_sde.FAMILY,
)
"""The first family that recognizes a source loads it."""


def _source(name: str) -> Source:
    path = _path(name)
    if path.is_dir():
        return Source(name, path)
    return Source(name, path, read_checkpoint_file(path), sidecar(path))


def _path(name: str) -> Path:
    if name in EMBEDDED:
        return EMBEDDED[name]
    if name in NAMED:
        known = NAMED[name]
        if known.address.startswith("https://"):
            return fetch(known.name, known.address, known.digest)
        return download(known.address, pipelines.needed_parts)
    if exists(Path(name)):
        return Path(name)
    return download(name, pipelines.needed_parts)


def _named(name: str) -> tuple[Family, ...]:
    found = tuple(family for family in FAMILIES if family.name == name)
    if not found:
        raise InputError(f"checkpoint: expected one of the families {_names()}, got {name!r}")
    return found


def _recognizing(source: Source, among: tuple[Family, ...]) -> Family:
    for family in among:
        if family.recognizes(source):
            return family
    of = (
        f"none of the families {_names()}"
        if among is FAMILIES
        else f"another family than {among[0].name}"
    )
    holds = "is a folder" if source.path.is_dir() else f"holds {_summary(source.content)}"
    raise InputError(
        f"checkpoint: {source.reference} is of {of}; it {holds}; a network of your own code is named as "
        "FILE.py:NAME"
    )


def _names() -> str:
    return ", ".join(dict.fromkeys(family.name for family in FAMILIES))


def _summary(content: Any) -> str:
    if isinstance(content, dict):
        names = [str(name) for name in state_of(content) or content]
        return f"{len(names)} entries: {', '.join(names[:3])[:100]}{' ...' * (len(names) > 3)}"
    return f"something of type {type(content).__name__}"
