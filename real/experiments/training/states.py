"""The file from which an interrupted training run continues. Reading it runs no code."""

from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from theory.support.errors import InputError
from theory.support.output import replacing_file


def write_state(path: Path, identity: dict[str, Any], state: dict[str, Any]) -> None:
    """Write the state of a run, whole or not at all."""
    content = BytesIO()  # torch.save itself would not say why a write fails
    torch.save({"identity": identity, "state": state}, content)
    with replacing_file(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def read_state(path: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """The state of a run.

    Raises:
        InputError: it cannot be read, or it is of a run with another identity.
    """
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        found, state = content["identity"], content["state"]
    except Exception as error:  # torch.load documents no list of what it raises
        raise InputError(f"train: {path} cannot be read; remove it to begin anew") from error
    for name in sorted(identity.keys() | found.keys()):
        if found.get(name) != identity.get(name):
            raise InputError(
                f"train: expected a run with {name} {identity.get(name)} in {path}, "
                f"got {found.get(name)}; remove it to begin anew"
            )
    return state
