"""Which source a reference means."""

from dataclasses import replace
from pathlib import Path

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
from theory.support.errors import InputError

CACHE = Path("~/.cache/diffusion-martingale/data")
READERS = {
    ".npz": npz_source, ".zip": zip_source, ".jsonl": captions_source, LATENTS: latents_source,
}  # fmt: skip


def open_images(
    reference: str,
    role: Role,
    shape: tuple[int, ...],
    *,
    limit: int | None = None,
    batch_size: int = DEFAULT_BATCH,
    data_root: Path | None = None,
    download: bool = False,
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

    Raises:
        InputError: nothing there, fewer than two images, or images that cannot be used.
    """
    source = _open(reference, role, shape, data_root or CACHE.expanduser(), download)
    source = source if limit is None else source.spread(limit)
    if source.count < 2:
        raise InputError(f"data: expected at least two images, got {source.count} from {reference}")
    return replace(source, batch_size=batch_size)


def _open(
    reference: str, role: Role, shape: tuple[int, ...], root: Path, download: bool
) -> ImageSource:
    require_images(reference)
    if reference == DIGITS:
        return digits_source(role, shape)
    if reference in SETS:
        return torchvision_source(reference, role, shape, root, download)
    if reference.startswith(HUB):
        return hub_source(reference, shape, download)
    path = Path(reference)
    return (
        folder_source(path, shape) if path.is_dir() else READERS[path.suffix.lower()](path, shape)
    )
