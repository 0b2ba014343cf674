"""Broadcasting over image dimensions, written once."""

from torch import Tensor


def along_batch(values: Tensor, like: Tensor) -> Tensor:
    """View ``values`` of shape (b,) or () such that they broadcast over ``like`` of shape (b, ...)."""
    if values.dim() == 0:
        return values
    return values.reshape(values.shape + (1,) * (like.dim() - values.dim()))
