"""Fetch published files by https, each once, and verify their digests."""

import hashlib
from pathlib import Path

import torch

from theory.support.errors import InputError
from theory.support.output import replacing_file

FOLDER = "diffusion-martingale"
"""Of the local copies, within torch.hub's folder."""

CHUNK = 1 << 20


def fetch(name: str, address: str, digest: str | None) -> Path:
    """The local copy of a published file, fetched if need be.

    Args:
        name: file name of the local copy.
        address: https URL.
        digest: ``sha256:HEX`` or ``md5:HEX``, verified on every use; None if none is published.

    Raises:
        InputError: the address cannot be reached, or the file is not the published one.
    """
    path = Path(torch.hub.get_dir()) / FOLDER / name
    if not path.is_file():
        with replacing_file(path) as temporary:
            try:
                torch.hub.download_url_to_file(address, str(temporary))
            except OSError as error:
                raise InputError(
                    f"checkpoint: {address} cannot be reached (no network connection?): {error}"
                ) from error
            _require_digest(temporary, digest, address)
        return path
    _require_digest(path, digest, f"{path} (delete it to fetch it again)")
    return path


def _require_digest(path: Path, digest: str | None, origin: str) -> None:
    if digest is None:
        return
    algorithm, _, expected = digest.partition(":")
    state = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            state.update(chunk)
    if state.hexdigest() != expected:
        raise InputError(
            f"checkpoint: expected {algorithm} {expected} of {origin}, got {state.hexdigest()}"
        )
