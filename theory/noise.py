"""Noise that belongs to the image.

A draw is keyed by (seed, purpose, time index, draw index) and positioned by the image's index, so
that batch sizes, interruptions and the number of processes never change it. The generator is
numpy's counter-based Philox; uniforms become normals through the inverse distribution function,
one word each, which keeps positions fixed.
"""

import math

import numpy as np
import torch
from jaxtyping import Float64, Int64
from scipy.special import ndtri
from torch import Tensor

WORDS_PER_BLOCK = 4


def keyed_noise(
    seed: int,
    purpose: str,
    time_index: int,
    draw: int,
    images: Int64[Tensor, "b"],
    shape: tuple[int, ...],
) -> Float64[Tensor, "b *shape"]:
    """Standard normal noise (b, *shape) for the images of these indices."""
    entropy = [seed, *purpose.encode(), time_index, draw]
    key = np.random.SeedSequence(entropy).generate_state(2, np.uint64)
    size = math.prod(shape)
    blocks = -(-size // WORDS_PER_BLOCK)
    words = np.concatenate(
        [
            np.random.Philox(key=key, counter=first * blocks).random_raw(
                count * blocks * WORDS_PER_BLOCK
            )
            for first, count in _runs(images.tolist())
        ]
    )
    words = words.reshape(len(images), blocks * WORDS_PER_BLOCK)[:, :size]
    uniform = ((words >> np.uint64(11)) + 0.5) * 2.0**-53
    return torch.from_numpy(ndtri(uniform)).reshape(len(images), *shape)


def _runs(indices: list[int]) -> list[tuple[int, int]]:
    """Consecutive indices as (first, count), so that each run is drawn at once."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and index == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs
