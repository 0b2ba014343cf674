"""Images as the latents of a codec: each encoded once, then kept, in memory or in a file."""

import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from real.families.checkpoint import Codec
from real.images.base import ImageSource, Labels, whole_labels
from theory.forward.fingerprints import image_ids
from theory.support.errors import InputError, NonFiniteError, refusing
from theory.support.output import replacing_file
from theory.support.safe_reading import TABLE_BYTES, parse_json
from theory.support.safe_tensors import require_header

IN_MEMORY = 2**30
"""Bytes of latents up to which they stay in memory; more go to a temporary file."""


def as_taken(
    source: ImageSource,
    codec: Codec | None,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
) -> ImageSource:
    """The images as a network takes them: their latents if it has a codec, else as they are.

    Args:
        source: the images.
        codec, device, on_progress: as for ``latents_of``.
    """
    return latents_of(source, codec, device, on_progress) if codec else source


@torch.no_grad()
def latents_of(
    source: ImageSource,
    codec: Codec,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
) -> ImageSource:
    """Encode all images: latents (n, c, h, w) float32, with the images' labels and identities.

    Args:
        source: the images.
        codec: encodes them.
        device: where the codec runs (default: where the images are).
        on_progress: called with the number of images after each batch.

    Raises:
        NonFiniteError: a latent that is not finite.
    """
    shape = codec.encode(source.load([0]).to(device)).shape[1:]
    array, ids = _room((source.count, *shape)), []
    first = 0
    for batch in source:
        latents = codec.encode(batch.to(device)).to("cpu", torch.float32)
        if not torch.isfinite(latents).all():
            raise NonFiniteError(f"codec: NaN or infinity in a latent of {source.name}")
        array[first : first + len(latents)] = latents.numpy()
        ids.append(image_ids(batch))
        first += len(latents)
        if on_progress:
            on_progress(len(latents))
    return ImageSource.of(
        source.name, torch.from_numpy(array), batch_size=source.batch_size, labels=source.labels,
        ids=torch.cat(ids) if source.ids is None else source.ids, groups=source.groups,
    )  # fmt: skip


def save_latents(latents: ImageSource, codec: Codec, path: Path) -> None:
    """Write latents with their labels and identities; the file appears whole or not at all."""
    tensors = {"latents": torch.cat(list(latents)), "ids": latents.ids}
    metadata = {"codec": codec.fingerprint}
    if isinstance(latents.labels, Tensor):
        tensors["labels"] = latents.labels
    elif latents.labels is not None:
        metadata["texts"] = json.dumps(latents.labels)
    known = {name: t.contiguous() for name, t in tensors.items() if t is not None}
    with replacing_file(path) as temporary:
        save_file(known, temporary, metadata)


def latents_source(path: Path, shape: tuple[int, ...]) -> ImageSource:
    """Open a file that ``save_latents`` wrote, or another like it.

    Such a file holds ``latents`` (n, c, h, w) in floating point, and if there are any ``labels``
    (n,), ``ids`` (n,), and as metadata ``texts`` (a JSON list) and ``codec``.

    Raises:
        InputError: no such file, or latents of another layout or shape.
    """
    tensors, metadata = _read(path)
    if "latents" not in tensors:
        raise InputError(f"data: expected an array 'latents' in {path}, got {', '.join(tensors)}")
    latents = tensors["latents"]
    if latents.dim() != 4 or not latents.is_floating_point() or tuple(latents.shape[1:]) != shape:
        raise InputError(
            f"data: expected floating-point latents (n, {', '.join(map(str, shape))}) in {path}, "
            f"got {latents.dtype} {tuple(latents.shape)}"
        )
    ids = tensors.get("ids")
    if ids is not None and (ids.dtype != torch.int64 or tuple(ids.shape) != (len(latents),)):
        raise InputError(f"data: expected ids int64 ({len(latents)},) in {path}, got {ids.dtype}")
    labels = _labels(tensors, metadata, len(latents), path)
    return ImageSource.of(str(path), latents.float(), labels=labels, ids=ids)


def _labels(tensors: dict[str, Tensor], metadata: dict[str, str], count: int, path: Path) -> Labels:
    if "labels" in tensors:
        return whole_labels(tensors["labels"], count, str(path))
    if "texts" not in metadata:
        return None
    try:
        texts = parse_json(metadata["texts"], TABLE_BYTES)
    except ValueError:
        texts = None
    fits = isinstance(texts, list) and len(texts) == count
    if not fits or not all(isinstance(text, str) for text in texts):
        raise InputError(f"data: expected a JSON list of {count} texts in {path}")
    return texts


def require_codec(path: Path, codec: Codec) -> None:
    """Refuse a file of latents that names another codec; one that names none is accepted.

    Raises:
        InputError: another codec made the latents, or the file cannot be read.
    """
    made_by = _read(path)[1].get("codec", codec.fingerprint)
    if made_by != codec.fingerprint:
        raise InputError(
            f"data: {path} holds latents of another autoencoder than the network's: expected "
            f"{codec.fingerprint}, got {made_by}"
        )


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    require_header(path, "data", TABLE_BYTES)
    with refusing(f"data: {path} cannot be read as safetensors"), safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, file.metadata() or {}


def _room(shape: tuple[int, ...]) -> np.ndarray:
    size = 4 * math.prod(shape)
    if size <= IN_MEMORY:
        return np.empty(shape, np.float32)
    with tempfile.TemporaryFile() as file:  # goes when the mapping does
        if hasattr(os, "posix_fallocate"):  # or else a full disk would end the program later
            os.posix_fallocate(file.fileno(), 0, size)
        return np.memmap(file, np.float32, "w+", shape=shape)
