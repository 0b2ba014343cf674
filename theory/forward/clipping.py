"""Predictions of x_0 that are clipped to the range of the data, as samplers clip them: they are bounded."""

from jaxtyping import Float, Real
from torch import Tensor

from theory.diffusion.targets import data_and_noise
from theory.forward.network import Network
from theory.support.errors import InputError


def clipped_data(
    network: Network,
    y: Float[Tensor, "b *shape"],
    x_t: Float[Tensor, "b *shape"],
    t: Real[Tensor, "1"],
    data_range: tuple[float, float],
) -> Float[Tensor, "b *shape"]:
    """The x_0 that a prediction y at x_t stands for, clipped to the range.

    Args:
        network: its schedule and target are those of y.
        y: predictions.
        x_t: where they were made.
        t: the time, one for all.
        data_range: (low, high).
    """
    x_0, _ = data_and_noise(y, x_t, t, network.target, network.schedule)
    return x_0.clamp(*data_range)


def require_in_range(images: Float[Tensor, "b *shape"], data_range: tuple[float, float]) -> None:
    """Refuse images outside the range that predictions are clipped to.

    Raises:
        InputError: a pixel lies outside.
    """
    low, high = data_range
    if not bool(((images >= low) & (images <= high)).all()):
        raise InputError(
            f"range: expected images in [{low:g}, {high:g}], got {images.min().item():g} to "
            f"{images.max().item():g}"
        )
