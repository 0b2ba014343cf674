"""Fetch a diffusers folder from the Hugging Face Hub, or from its local cache."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from theory.errors import InputError

FILES = ["*.json", "unet/*.safetensors", "unet/*.bin", "*.safetensors", "*.bin"]


def download(reference: str) -> Path:
    """The local copy of a Hub repository, fetched if need be.

    Raises:
        InputError: no such repository, or no connection and no local copy.
    """
    expected = f"checkpoint: expected 'digits', a diffusers folder or a Hub id, got {reference!r}"
    if reference.count("/") != 1 or reference.startswith((".", "/")):
        raise InputError(expected)
    try:
        return Path(snapshot_download(reference, allow_patterns=FILES))
    except HFValidationError as error:
        raise InputError(expected) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"{expected}: no such folder, and no such repository on the Hub"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise InputError(
            f"{expected}: no such folder, and the Hub cannot be reached (no network connection?)"
        ) from error
