"""Noise that belongs to the image.

A draw is keyed by (seed, purpose, time index, draw index) and positioned by the image's index, so
that batch sizes, interruptions and the number of processes never change it. The generator is
numpy's counter-based Philox; uniforms become normals through the inverse distribution function,
one word each, which keeps positions fixed.
"""

import math

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

WORDS_PER_BLOCK = 4


def keyed_noise(
    seed: int,
    purpose: str,
    time_index: int,
    draw: int,
    first_image: int,
    images: int,
    shape: tuple[int, ...],
) -> Tensor:
    """Standard normal noise (images, *shape), float64, for consecutive images from ``first_image``."""
    entropy = [seed, *purpose.encode(), time_index, draw]
    key = np.random.SeedSequence(entropy).generate_state(2, np.uint64)
    size = math.prod(shape)
    blocks = -(-size // WORDS_PER_BLOCK)
    words = np.random.Philox(key=key, counter=first_image * blocks).random_raw(
        images * blocks * WORDS_PER_BLOCK
    )
    words = words.reshape(images, blocks * WORDS_PER_BLOCK)[:, :size]
    uniform = ((words >> np.uint64(11)) + 0.5) * 2.0**-53
    return torch.from_numpy(ndtri(uniform)).reshape(images, *shape)
