"""Fetch what is published: repositories of the Hugging Face Hub, and files by https, once each."""

import hashlib
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from urllib.error import URLError

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from theory.support.errors import InputError
from theory.support.output import replacing_file

CONFIGURATION = ["*.json", "*/*.json", "*/*.txt", "*/*.model"]
SAFE_WEIGHTS = ["diffusion_pytorch_model*.safetensors", "model*.safetensors"]
OLD_WEIGHTS = ["diffusion_pytorch_model*.bin", "pytorch_model*.bin"]
HALF_WEIGHTS = ["diffusion_pytorch_model*.fp16*.safetensors", "model*.fp16*.safetensors"]
UNUSED = ["*flax*", "*onnx*", "*openvino*", "safety_checker/*"]
HALF = ["*.fp16.*", "*.fp16-*"]
OTHER_COPIES = ["*.bf16.*", "*.bf16-*", "*.non_ema.*", "*.non_ema-*"]
WEIGHTS = (
    (SAFE_WEIGHTS, [*HALF, *OTHER_COPIES]),
    (OLD_WEIGHTS, [*HALF, *OTHER_COPIES]),
    (HALF_WEIGHTS, OTHER_COPIES),
)
"""Names of a folder's weights, and which of them are meant by none of it; the first kind that is
there is the one that is fetched."""
ALREADY_HERE = "diffusion-martingale"
CHUNK = 1 << 20
KINDS = (
    "'digits', a name that `python -m real list` shows, a folder, a checkpoint file, FILE.py:NAME "
    "or a Hub id"
)


def download(reference: str, parts: Callable[[Path], Sequence[str]]) -> Path:
    """The local copy of a Hub repository, fetched if need be: one precision, safetensors if it can.

    Args:
        reference: Hub id.
        parts: given the folder with no more than its configuration, the subfolders whose weights
            are needed; "." is the top. What it refuses is not fetched.

    Raises:
        InputError: no such repository, no leave to read it, no connection and no local copy, no
            weights, or what ``parts`` raises.
    """
    expected = f"checkpoint: expected {KINDS}, got {reference!r}"
    if reference.count("/") != 1 or reference.startswith((".", "/")):
        raise InputError(expected)
    try:
        folder = Path(
            snapshot_download(reference, allow_patterns=CONFIGURATION, ignore_patterns=UNUSED)
        )
        _fetch_weights(reference, folder, parts(folder))
        return folder
    except HFValidationError as error:
        raise InputError(expected) from error
    except GatedRepoError as error:
        raise InputError(
            f"checkpoint: {reference} is to be had only by those who accept its licence on the Hub "
            "and are logged in (hf auth login)"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"{expected}: no such file or folder, and no such repository on the Hub"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise InputError(
            f"{expected}: no such file or folder, and the Hub cannot be reached "
            "(no network connection?)"
        ) from error


def _fetch_weights(reference: str, folder: Path, parts: Sequence[str]) -> None:
    wanting = list(parts)
    for names, others in WEIGHTS:
        if wanting:
            patterns = [str(PurePosixPath(part) / name) for part in wanting for name in names]
            unused = [*UNUSED, *others]
            snapshot_download(reference, allow_patterns=patterns, ignore_patterns=unused)
            wanting = [part for part in wanting if not _holds(folder / part, names, others)]
    if wanting:
        raise InputError(
            f"checkpoint: expected weights in {' and '.join(wanting)} of {reference}: safetensors, "
            ".bin, or safetensors of the variant fp16"
        )


def _holds(folder: Path, names: Sequence[str], others: Sequence[str]) -> bool:
    """Whether there is a file of one of these names, and of none of the others."""
    return any(
        not any(fnmatch(path.name, other) for other in others)
        for name in names
        for path in folder.glob(name)
    )


def fetch(name: str, address: str, digest: str | None) -> Path:
    """The local copy of a published file, fetched if need be, in torch.hub's folder.

    Args:
        name: of the local copy.
        address: https URL.
        digest: ``sha256:HEX`` or ``md5:HEX`` where one is published; every use is verified.

    Raises:
        InputError: it cannot be reached, or is not the published file.
    """
    path = Path(torch.hub.get_dir()) / ALREADY_HERE / name
    if not path.is_file():
        with replacing_file(path) as temporary:
            try:
                torch.hub.download_url_to_file(address, str(temporary))
            except (URLError, OSError) as error:
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
