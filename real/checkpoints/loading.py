"""Load a pretrained network of any family as a ``Checkpoint``. No checkpoint ever runs code."""

from pathlib import Path
from typing import Any

from real.checkpoints import repaired
from real.checkpoints.registry import NAMED
from real.families import own_code as own
from real.families.checkpoint import Checkpoint, Family, Source
from real.families.ddpm_adm import ddpm, guided
from real.families.diffusers import pipelines as diffusers_pipelines
from real.families.edm import loader as edm
from real.families.edm2 import loader as edm2
from real.families.score_sde import loader as score_sde
from real.files import checkpoint_files as files
from real.files.hub import download
from theory.support.errors import InputError
from theory.support.output import exists

__all__ = ["EMBEDDED", "FAMILIES", "Checkpoint", "load", "load_named_by"]

ASSETS = Path(__file__).parent.parent / "assets"
EMBEDDED = {name: ASSETS / name for name in ("digits", "fashion")}
"""Networks that ship with the toolkit, by name."""

ANY_FOLDER = Family(
    name="diffusers",
    recognizes=lambda source: source.path.is_dir(),
    load=lambda source, device: diffusers_pipelines.load_folder(
        source.path, source.reference, device
    ),
)
"""Says what is wrong with a folder that no family recognizes."""

FAMILIES: tuple[Family, ...] = (
    repaired.FAMILY,
    *diffusers_pipelines.FAMILIES,
    ANY_FOLDER,
    ddpm.FAMILY,
    guided.FAMILY,
    edm.FAMILY,
    edm2.FAMILY,
    score_sde.FAMILY,
)
"""The first that recognizes a source loads it."""


def load(reference: str | Path, device: Any = "cpu", family: str | None = None) -> Checkpoint:
    """Load a checkpoint.

    Args:
        reference: a name that ships (``digits``) or that the registry knows, a local folder or
            file, a user's own network as FILE.py:NAME, or a Hub id. Names go first; a folder that
            is called like one is meant by ./NAME.
        device: where the network runs.
        family: its name, where several families recognize the content; of those that do, the first
            loads it otherwise.

    Raises:
        InputError: there is no such thing, it cannot be reached, no family recognizes it, or it is
            broken; or there is no family of that name, or it does not recognize it.
    """
    name = str(reference)
    among = FAMILIES if family is None else _named(family)
    if own.is_reference(name):
        if family is not None:
            raise InputError(f"checkpoint: {name} is your own network and of no family")
        return own.load(name, device)
    source = _source(name)
    return _recognizing(source, among).load(source, device)


def load_named_by(folder: Path, reference: str, device: Any, family: str | None) -> Checkpoint:
    """The same for a network that a folder names, and not the user: code is not run for that.

    Raises:
        InputError: as ``load``, or it is a user's own network, or a folder that names another.
    """
    if own.is_reference(reference):
        raise InputError(
            f"checkpoint: {folder} was made from {reference[:80]!r}, and a folder cannot have code "
            "run: give real.compress.repaired_folder.restored(folder, original) as your own network"
        )
    source = _source(reference)
    family_of = _recognizing(source, FAMILIES if family is None else _named(family))
    if family_of.name == repaired.NAME or repaired.recognizes(source):
        raise InputError(f"checkpoint: {folder} was made from a folder that is repaired itself")
    return family_of.load(source, device)


def _source(name: str) -> Source:
    path = _path(name)
    if path.is_dir():
        return Source(name, path)
    return Source(name, path, files.read(path), files.sidecar(path))


def _path(name: str) -> Path:
    if name in EMBEDDED:
        return EMBEDDED[name]
    if name in NAMED:
        return NAMED[name].local()
    if exists(Path(name)):
        return Path(name)
    return download(name, diffusers_pipelines.needed_parts)


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
    raise InputError(f"checkpoint: {source.reference} is of {of}; it {holds}")


def _names() -> str:
    return ", ".join(dict.fromkeys(family.name for family in FAMILIES))


def _summary(content: Any) -> str:
    if isinstance(content, dict):
        names = [str(name) for name in content]
        return f"{len(names)} entries: {', '.join(names[:3])[:100]}{' ...' * (len(names) > 3)}"
    return f"something of type {type(content).__name__}"
