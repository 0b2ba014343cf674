"""The range of the data, and predictions that keep to it."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Real
from torch import Tensor

from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import Target
from theory.support.broadcasting import along_batch
from theory.support.checks import require_number
from theory.support.errors import InputError


@dataclass(frozen=True)
class DataRange:
    """What every number of every image lies between.

    Raises:
        InputError: numbers that are not finite and increasing.
    """

    least: float
    most: float

    def __post_init__(self) -> None:
        for end in (self.least, self.most):
            require_number("range", end, -1e6, 1e6)
        if not self.least < self.most:
            raise InputError(
                f"range: expected two increasing numbers, got {self.least:g}, {self.most:g}"
            )

    @property
    def width(self) -> float:
        """The largest difference of two images in one coordinate."""
        return self.most - self.least

    def require(self, images: Float[Tensor, "b *shape"]) -> None:
        """Raises: InputError, images that do not keep to the range."""
        least, most = images.min().item(), images.max().item()
        if not self.least <= least <= most <= self.most:
            raise InputError(
                f"range: expected images from {self.least:g} to {self.most:g}, "
                f"got {least:g} to {most:g}"
            )

    def clip(
        self,
        y: Float[Tensor, "b *shape"],
        x_t: Float[Tensor, "b *shape"],
        t: Real[Tensor, "k"],
        target: Target,
        schedule: Schedule,
    ) -> Float[Tensor, "b *shape"]:
        """The prediction whose x_0 is that of y, clipped to the range.

        With det = alpha_t B_t - sigma_t A_t, a prediction has det x_0 = B_t x_t - sigma_t y. As the
        data lie in the range, clipping raises no coordinate's error |x_0(y) - x_0|.

        Args:
            y: predictions of the target, (b, *shape).
            x_t: where they were made, (b, *shape).
            t: times, (b,) or (1,).
            target, schedule: of the network.
        """
        t = t.detach().cpu()
        sigma = along_batch(schedule.sigma(t).to(y), y)
        b = along_batch(target.coefficients(schedule, t)[1].to(y), y)
        det = along_batch(target.determinant(schedule, t).to(y), y)
        data = b * x_t - sigma * y
        ends = torch.stack(torch.broadcast_tensors(det * self.least, det * self.most))
        clipped = data.clamp(ends.amin(0), ends.amax(0))
        return y + (data - clipped) / sigma.clamp(min=torch.finfo(y.dtype).tiny)


def error_scale(
    schedule: Schedule, target: Target, times: Real[Tensor, "time"]
) -> Float64[Tensor, "time"]:
    """|det| / sigma_t: by how much a step of x_0 is larger as a step of the prediction at x_t.

    Raises:
        InputError: a time at which a prediction tells nothing of x_0, or x_t all of it.
    """
    scale = target.determinant(schedule, times).abs() / schedule.sigma(times)
    for t, value in zip(times.tolist(), scale.tolist(), strict=True):
        if not 0 < value < math.inf:
            raise InputError(
                f"range: expected times at which the prediction tells x_0, got t = {t:g}"
            )
    return scale
