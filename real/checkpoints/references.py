"""Check the name of a checkpoint before anything is loaded. Imports no heavy library."""

from pathlib import Path

from real.checkpoints.registry import NAMED, PublishedNetwork
from real.files.hub_ids import expected_kinds, is_hub_id
from theory.support.command_line import did_you_mean
from theory.support.errors import InputError
from theory.support.output import exists

SUFFIXES = (".bin", ".ckpt", ".pkl", ".pt", ".pth", ".safetensors")
"""Of checkpoint files; no repository of the Hub is called so."""


def is_own_code(reference: str) -> bool:
    """Whether a name has the form FILE.py:NAME."""
    file, _, name = reference.rpartition(":")
    return file.endswith(".py") and name.isidentifier()


def require_known(reference: str) -> None:
    """Refuse a name that can only be wrong; the Hub is not asked.

    Raises:
        InputError: there is no such file, the network is one that is fetched by hand, or the name is
            neither that of a published network, a file or a folder, nor a possible Hub id.
    """
    if not reference.strip():
        raise InputError(f"{expected_kinds(reference)}: no name at all")
    if is_own_code(reference):
        file = Path(reference.rpartition(":")[0])
        if not file.is_file():
            raise InputError(f"checkpoint: no file {file}")
    elif reference.endswith(".py") and exists(Path(reference)):
        raise InputError(
            f"checkpoint: expected {reference}:NAME, the name of the network in the file, got none"
        )
    elif reference in NAMED:
        _refuse_by_hand(NAMED[reference])
    elif not exists(Path(reference)):
        if not is_hub_id(reference):
            raise InputError(expected_kinds(reference) + did_you_mean(reference, NAMED))
        if reference.endswith(SUFFIXES):
            raise InputError(f"{expected_kinds(reference)}: no such file")


def _refuse_by_hand(known: PublishedNetwork) -> None:
    if known.page:
        file = f" as {known.name}.pth" if known.beside else ""
        beside = f", write {known.beside} as {known.name}.json beside it" if known.beside else ""
        raise InputError(
            f"checkpoint: {known.name} is fetched by hand: save it from {known.address}{file}"
            f"{beside}, then name the file"
        )
