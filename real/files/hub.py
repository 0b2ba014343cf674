"""Fetch checkpoints from the Hugging Face Hub: of each repository no more than is loaded."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from real.files.hub_ids import expected_kinds, is_hub_id
from theory.support.errors import InputError

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
"""Kinds of weights in the order of preference: patterns of their files, and of files to leave out."""


def download(reference: str, parts: Callable[[Path], Sequence[str]]) -> Path:
    """The local copy of a Hub repository, fetched if need be, in one precision.

    Safetensors are preferred to .bin files, and both to safetensors in half precision.

    Args:
        reference: Hub id.
        parts: returns the subfolders whose weights are needed ("." is the top), given the folder
            with its configuration alone. If it raises, no weights are fetched.

    Raises:
        InputError: there is no such repository, it may not be read or has no weights, there is
            neither a connection nor a local copy, or ``parts`` raises it.
    """
    expected = expected_kinds(reference)
    if not is_hub_id(reference):
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
    """Whether a folder has a file that matches one of the names and none of the others."""
    return any(
        not any(fnmatch(path.name, other) for other in others)
        for name in names
        for path in folder.glob(name)
    )
