"""A network on pixels whose data do not lie in [-1, 1], as all images of this package do."""

import math
from dataclasses import replace

from torch import Tensor

from real.families.checkpoint import Checkpoint, Codec
from theory.support.errors import InputError

USUAL = (-1.0, 1.0)
"""The range of the images of this package, and of nearly all networks."""


def in_range(checkpoint: Checkpoint, low: float, high: float) -> Checkpoint:
    """The checkpoint with images led to [low, high] before it sees them, and samples led back.

    Raises:
        InputError: no range, or a network that has its own or works on latents.
    """
    if not -math.inf < low < high < math.inf:
        raise InputError(f"range: expected LOW below HIGH, got {low:g},{high:g}")
    if checkpoint.codec and checkpoint.codec.data_range:
        own = "{:g} to {:g}".format(*checkpoint.codec.data_range)
        raise InputError(f"range: {checkpoint.reference} says its own, {own}")
    if checkpoint.codec:
        raise InputError(
            f"range: {checkpoint.reference} works on latents, whose range its autoencoder sets"
        )
    if (low, high) == USUAL:
        return checkpoint

    def encode(images: Tensor) -> Tensor:
        """Images in [-1, 1] as the network takes them."""
        return low + (images + 1) / 2 * (high - low)

    def decode(data: Tensor) -> Tensor:
        """The images that the network's data stand for."""
        return (data - low) / (high - low) * 2 - 1

    codec = Codec(checkpoint.shape, encode, decode, f"range {low:g} to {high:g}", (low, high))
    return replace(checkpoint, codec=codec)
