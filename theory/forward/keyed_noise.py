"""Noise that belongs to the image.

A draw is keyed by (seed, purpose, time index, draw index) and positioned by the image's number, such
as its identity, so that batch sizes, the order of the images, interruptions and the number of processes
never change it. The generator is
numpy's counter-based Philox; uniforms become normals through the inverse distribution function,
one word each, which keeps positions fixed. Words are drawn on the CPU, in any thread; they become
normals wherever they are, in float64, the same everywhere but for rounding.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from theory.support.checks import require_at_least

WORDS_PER_BLOCK = 4
BITS = 52
"""Of a word that are used: one more, and the uniform nearest to 1 would round to it."""


@dataclass(frozen=True)
class Draws:
    """Noise draws for every image at every time, in antithetic pairs: their key and their number.

    Draws 2j and 2j + 1 of an image are e and -e: what a network gets wrong in proportion to the
    noise cancels between them.

    Attributes:
        seed, purpose: key of the noise; different purposes never share noise.
        count: noise draws per image and time.
        first_time: added to the position of a time, where times are a part of others.

    Raises:
        InputError: a negative seed, less than one draw, or no whole numbers.
    """

    seed: int
    purpose: str
    count: int = 1
    first_time: int = 0

    def __post_init__(self) -> None:
        require_at_least("seed", self.seed, 0)
        require_at_least("draws", self.count, 1)
        object.__setattr__(self, "seed", int(self.seed))
        object.__setattr__(self, "count", int(self.count))

    def words(
        self, time_index: int, images: Int64[Tensor, "b"], shape: tuple[int, ...]
    ) -> Int64[Tensor, "pair b *shape"]:
        """What the noise is made from, for each pair of draws of the images of these numbers."""
        pairs = range((self.count + 1) // 2)
        of_pairs = [
            keyed_words(self.seed, self.purpose, self.first_time + time_index, j, images, shape)
            for j in pairs
        ]
        return torch.stack(of_pairs)

    def noise(self, words: Int64[Tensor, "pair b *shape"]) -> Float64[Tensor, "m b *shape"]:
        """The draws that these words make, on their device."""
        pairs = normals(words)
        return torch.stack([pairs, -pairs], 1).flatten(0, 1)[: self.count]


def keyed_noise(
    seed: int,
    purpose: str,
    time_index: int,
    draw: int,
    images: Int64[Tensor, "b"],
    shape: tuple[int, ...],
) -> Float64[Tensor, "b *shape"]:
    """Standard normal noise (b, *shape) for the images of these numbers, on the CPU.

    Args:
        seed, purpose, time_index, draw: the key; each combination has noise of its own.
        images: a number of each image, any of 64 bits, which positions its noise.
        shape: of one image.
    """
    return normals(keyed_words(seed, purpose, time_index, draw, images, shape))


def keyed_words(
    seed: int,
    purpose: str,
    time_index: int,
    draw: int,
    images: Int64[Tensor, "b"],
    shape: tuple[int, ...],
) -> Int64[Tensor, "b *shape"]:
    """What the noise is made from: whole numbers from 0 to 2^52 - 1, uniform.

    Args:
        seed, purpose, time_index, draw, images, shape: as for ``keyed_noise``.
    """
    entropy = [seed, *purpose.encode(), time_index, draw]
    key = np.random.SeedSequence(entropy).generate_state(2, np.uint64)
    size = math.prod(shape)
    blocks = -(-size // WORDS_PER_BLOCK)
    generator, now, runs = np.random.Philox(key=key, counter=0), 0, []
    for first, count in _runs(images.tolist()):
        start = first % 2**64 * blocks
        generator.advance((start - now) % 2**256)
        runs.append(generator.random_raw(count * blocks * WORDS_PER_BLOCK))
        now = start + count * blocks
    words = np.concatenate(runs).reshape(len(images), blocks * WORDS_PER_BLOCK)[:, :size]
    top = (words >> np.uint64(64 - BITS)).view(np.int64)
    return torch.from_numpy(top).reshape(len(images), *shape)


def normals(words: Int64[Tensor, "*n"]) -> Float64[Tensor, "*n"]:
    """Standard normal numbers from words of ``keyed_words``, on their device."""
    return torch.special.ndtri((words.double() + 0.5) * 2.0**-BITS)


def _runs(indices: list[int]) -> list[tuple[int, int]]:
    """Consecutive numbers as (first, count), so that each run is drawn at once."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and index == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs
