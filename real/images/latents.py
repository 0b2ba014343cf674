"""Images as the latents of a codec: each encoded once, then kept."""

import math
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from real.checkpoints.base import Codec
from real.images.base import ImageSource
from theory.errors import NonFiniteError

IN_MEMORY = 2**30
"""Bytes of latents up to which they stay in memory; more go to a temporary file."""


@torch.no_grad()
def latents_of(
    source: ImageSource,
    codec: Codec,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
) -> ImageSource:
    """Encode all images, and give their latents (n, c, h, w) float32 with the same labels.

    Args:
        device: where the codec runs (default: where the images are).
        on_progress: told the number of images after each batch.

    Raises:
        NonFiniteError: a latent that is not finite.
    """
    shape = codec.encode(source.load(0, 1).to(device)).shape[1:]
    array = _room((source.count, *shape))
    first = 0
    for batch in source:
        latents = codec.encode(batch.to(device)).to("cpu", torch.float32)
        if not torch.isfinite(latents).all():
            raise NonFiniteError(f"codec: NaN or infinity in a latent of {source.name}")
        array[first : first + len(latents)] = latents.numpy()
        first += len(latents)
        if on_progress:
            on_progress(len(latents))

    return ImageSource(
        source.name, source.count, lambda i, j: torch.from_numpy(array[i:j].copy()),
        source.batch_size, source.labels,
    )  # fmt: skip


def _room(shape: tuple[int, ...]) -> np.ndarray:
    if 4 * math.prod(shape) <= IN_MEMORY:
        return np.empty(shape, np.float32)
    with tempfile.TemporaryFile() as file:  # goes when the mapping does
        return np.memmap(file, np.float32, "w+", shape=shape)
