"""Which source a reference means."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from real.images.base import ImageSource, Role
from real.images.digits import digits_source
from real.images.folder import captions_source, folder_source
from real.images.hub import hub_source
from real.images.latents import latents_source
from real.images.npz import npz_source
from real.images.references import DIGITS, HUB, LATENTS, require_images
from real.images.torchvision_sets import SETS, torchvision_source
from real.images.zipped import zip_source
from theory.forward.images import DEFAULT_BATCH
from theory.support.errors import InputError, refusing

CACHE = Path("~/.cache/diffusion-martingale/data")


@dataclass(frozen=True)
class Wanted:
    """What the images are for.

    Attributes:
        role: which part of a set that comes in parts.
        shape: (c, h, w) of the images that the network takes; they are made to fit.
        data_root: where torchvision's sets lie.
        download: fetch a named set that is not there.
    """

    role: Role
    shape: tuple[int, ...]
    data_root: Path
    download: bool


FOLDER = "folder"
OPENERS: dict[str, Callable[[str, Wanted], ImageSource]] = {
    DIGITS: lambda _, wanted: digits_source(wanted.role, wanted.shape),
    HUB: lambda reference, wanted: hub_source(reference, wanted.shape, wanted.download),
    FOLDER: lambda reference, wanted: folder_source(Path(reference), wanted.shape),
    ".npz": lambda reference, wanted: npz_source(Path(reference), wanted.shape),
    ".zip": lambda reference, wanted: zip_source(Path(reference), wanted.shape),
    ".jsonl": lambda reference, wanted: captions_source(Path(reference), wanted.shape),
    LATENTS: lambda reference, wanted: latents_source(Path(reference), wanted.shape),
    **dict.fromkeys(
        SETS,
        lambda name, wanted: torchvision_source(
            name, wanted.role, wanted.shape, wanted.data_root, wanted.download
        ),
    ),
}
"""How each kind of source is opened."""


def open_images(
    reference: str,
    role: Role,
    shape: tuple[int, ...],
    *,
    limit: int | None = None,
    batch_size: int = DEFAULT_BATCH,
    data_root: Path | None = None,
    download: bool = False,
    groups: Sequence[str] | None = None,
    skip_bad: bool = False,
) -> ImageSource:
    """Open images by reference.

    ``digits`` (the part for this role); ``mnist``, ``fashion-mnist``, ``cifar10``, ``celeba``
    (training part, or test part if held out); ``hub:ID[:SPLIT]``; a folder; an .npz, .zip or
    .jsonl file; a .safetensors file of latents. To open a file or folder that has one of
    those names, write its path as ``./digits``.

    Args:
        reference: what to open.
        role: what the images are for, where a set comes in parts.
        shape: (c, h, w) of the images that the network takes; they are made to fit.
        limit: use only so many, evenly spaced.
        batch_size: images per batch.
        data_root: where torchvision's sets lie (default: ``CACHE``).
        download: fetch a named set that is not there.
        groups: which images belong together, one text for each.
        skip_bad: leave out images that cannot be read, and name them in the notes.

    Raises:
        InputError: nothing there, fewer than two images, or images that cannot be used.
    """
    require_images(reference)
    wanted = Wanted(role, shape, data_root or CACHE.expanduser(), download)
    broken = f"data: {reference} cannot be read"
    with refusing(broken):
        source = OPENERS[_kind(reference)](reference, wanted)
    source = source if groups is None else source.grouped(groups)
    source = source if limit is None else source.spread(limit)
    read = source.load

    def load(chosen: Sequence[int]) -> Tensor:
        """The images at these positions."""
        with refusing(broken):
            return read(chosen)

    source = replace(source, batch_size=batch_size, load=load)
    source = source.readable() if skip_bad else source
    if source.count < 2:
        raise InputError(f"data: expected at least two images, got {source.count} from {reference}")
    return source


def _kind(reference: str) -> str:
    """The key of its opener. Names go before files that are called like them."""
    if reference.startswith(HUB):
        return HUB
    if reference in OPENERS:
        return reference
    path = Path(reference)
    return FOLDER if path.is_dir() else path.suffix.lower()
