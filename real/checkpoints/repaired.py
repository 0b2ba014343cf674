"""Folders that ``repair`` wrote: a damaged network, with its calibration beside it."""

from typing import Any

from real.families.checkpoint import Checkpoint, Family, Source

NAME = "repaired"
MANIFEST = "repaired.json"


def recognizes(source: Source) -> bool:
    """Whether it is such a folder."""
    return (source.path / MANIFEST).is_file()


def load(source: Source, device: Any) -> Checkpoint:
    """The damaged network, uncalibrated.

    Raises:
        InputError: the original is not to be had or another one, or a file is missing or broken.
    """
    from real.compress import (
        repaired_folder as folder,  # which loads the original through this package
    )

    return folder.load(source, device)


FAMILY = Family(NAME, recognizes, load)
