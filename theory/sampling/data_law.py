"""What images alone tell of q_t: its mean, variances and leading covariance at every time."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from theory.support.errors import InputError

DIRECTIONS = 32
"""Leading directions of the data that are known at most."""
IMAGES_PER_DIRECTION = 8
MOST_NUMBERS = 2**27
"""Of the images from which directions are taken; the mean and the variances are of all."""


@dataclass(frozen=True, eq=False)
class DataLaw:
    """Moments of images, as far as q_t is known from them: u = a x_0 + s e has

        mean a mu,    covariance a^2 C + s^2 I.

    Attributes:
        mean: mu.
        covariance_factor: (k, d), leading eigenvectors of C, orthonormal.
        eigenvalues: (k,), theirs.
        images: (m, d), flattened images from which variances in any basis are taken.
        count: of the images.
    """

    mean: Float64[Tensor, "*shape"]
    covariance_factor: Float64[Tensor, "k d"]
    eigenvalues: Float64[Tensor, "k"]
    images: Float64[Tensor, "m d"]
    count: int

    @classmethod
    def of(cls, batches: Iterable[Float[Tensor, "b *shape"]]) -> "DataLaw":
        """The law of these images.

        Raises:
            InputError: fewer than two.
        """
        kept: list[Tensor] = []
        total, count = torch.zeros(()), 0
        shape: tuple[int, ...] = ()
        for batch in batches:
            shape = tuple(batch.shape[1:])
            flat = batch.double().cpu().flatten(1)
            total, count = total + flat.sum(0), count + len(flat)
            room = max(0, MOST_NUMBERS // flat.shape[1] - sum(map(len, kept)))
            kept += [flat[:room]] if room else []
        if count < 2:
            raise InputError(f"images: expected at least two, got {count}")
        mean, images = total / count, torch.cat(kept)
        centred = images - images.mean(0)
        rank = max(1, min(DIRECTIONS, len(images) // IMAGES_PER_DIRECTION, centred.shape[1]))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            _, singular, directions = torch.svd_lowrank(centred, min(2 * rank, min(centred.shape)))
        values = singular[:rank].square() / (len(images) - 1)
        return cls(mean.reshape(shape), directions.T[:rank].contiguous(), values, images, count)

    @property
    def dimension(self) -> int:
        """Numbers in one image."""
        return math.prod(self.mean.shape)
