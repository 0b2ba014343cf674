"""Broadcasting over image dimensions, written once."""

from jaxtyping import Float
from torch import Tensor


def along_batch(values: Tensor, like: Tensor) -> Tensor:
    """View ``values`` of shape (b,) or () such that they broadcast over ``like`` of shape (b, ...)."""
    if values.dim() == 0:
        return values
    return values.reshape(values.shape + (1,) * (like.dim() - values.dim()))


def dot(a: Float[Tensor, "b *shape"], b: Float[Tensor, "*any"]) -> Float[Tensor, "b"]:
    """Inner product over all dimensions after the first: (b, ...) and (b, ...) or (...) -> (b,)."""
    return (a * b).flatten(1).sum(1)
