"""One pass over held-out images: the network's loss, and what each of some corrections takes off it.

With r = y_theta - y the residual of a draw and c what is subtracted,

    |r|^2 - |r - c|^2 = 2 c.r - |c|^2,

so that paired draws tell the fall of the denoising loss with little variance. The image is the
statistical unit: draws on one image are averaged first.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float64, Int64, Real
from torch import Tensor

from theory.calibration.progress import Progress
from theory.estimators.device_sums import Sums
from theory.estimators.line_check import LineComparison, LineSums
from theory.forward.forward_pass import GROUPS, Observation, observe
from theory.forward.images import Batch
from theory.forward.keyed_noise import Draws
from theory.forward.network import Network
from theory.statistics.intervals import Estimate
from theory.statistics.moments import Moments

PURPOSE = "validate"
"""Key of the noise, which calibration does not share."""

Correction = Callable[[Tensor, Tensor, Tensor, Any], Tensor]
"""correction(x_t, t, y, condition) -> what to subtract from y, for x_t and y (b, *shape), t (1,)."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Losses and gains of n held-out images at T times, mean over the draws of each image.

    Attributes:
        losses: (n, T), |y_theta - y|^2 of the network as it is.
        gains: (n, T) for each correction, by name: how much it takes off the loss.
        eta_sq: unbiased |eta_t|^2 of the network as it is, one per time.
        line_check: the network's errors beside those of the best line in x_t, one per time;
            empty without a mean image.
    """

    losses: Float64[Tensor, "image time"]
    gains: Mapping[str, Float64[Tensor, "image time"]]
    eta_sq: tuple[Estimate, ...]
    line_check: tuple[LineComparison, ...]


def hold_out(
    network: Network,
    corrections: Mapping[str, Correction],
    images: Iterable[Batch],
    times: Real[Tensor, "time"],
    *,
    seed: int,
    draws: int = 1,
    mean_image: Float64[Tensor, "*shape"] | None = None,
    units: Int64[Tensor, "image"],
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
    progress: Progress | None = None,
) -> HeldOut:
    """Measure a network and some corrections of it on the same images and the same noise.

    Args:
        network: the network as it is.
        corrections: what to subtract from its predictions, by name.
        images: checked batches that nothing was estimated from, which can be read again.
        times: (T,).
        seed: key of the noise, so that losses of several networks are paired.
        draws: noise draws per image and time.
        mean_image: of other images, for the comparison with the best line; None for none.
        units: (n,), which images belong together, numbered from 0 in no order of the images.
        device: where the network runs (default: where the images are).
        on_progress: called with the number of network evaluations after each call.
        progress: that of the part of a run that measures these images (default: none is kept).

    Raises:
        InputError: as ``observe``.
    """
    shape = tuple(next(iter(images)).images.shape[1:])
    sums = [
        _TimeSums(len(units), shape, [(c, t[None]) for c in corrections.values()], mean_image)
        for t in times
    ]
    observed = partial(
        observe, network, images, times, Draws(seed, PURPOSE, draws), group=units % GROUPS,
        device=device, on_progress=on_progress,
    )  # fmt: skip
    (progress or Progress()).sum_(PURPOSE, sums, lambda share: observed(share=share))
    clustered = len(units.unique()) < len(units)
    for of_time in sums:
        of_time.to_("cpu")
    return HeldOut(
        torch.stack([s.losses for s in sums], 1),
        {name: torch.stack([s.gains[j] for s in sums], 1) for j, name in enumerate(corrections)},
        tuple(replace(s.moments, clustered=clustered).squared_norm() for s in sums),
        tuple(s.line.comparison() for s in sums if s.line is not None),
    )


class _TimeSums(Sums):
    """Losses and gains of every image at one time, and sums over all of them.

    Args:
        count: how many images there are.
        shape: of one.
        corrections: each with this time, (1,).
        mean_image: of other images; None for no comparison with the best line.
    """

    def __init__(
        self,
        count: int,
        shape: tuple[int, ...],
        corrections: Sequence[tuple[Correction, Tensor]],
        mean_image: Float64[Tensor, "*shape"] | None,
    ) -> None:
        self.corrections = corrections
        self.losses = torch.zeros(count, dtype=torch.float64)
        self.gains = torch.zeros(len(corrections), count, dtype=torch.float64)
        self.moments = Moments.empty(shape, GROUPS)
        self.line = None if mean_image is None else LineSums(mean_image)

    def add_(self, seen: Observation) -> None:
        """Take in an observation, in place. An image must not come twice."""
        seen = self.beside(seen)
        places = seen.places.to(seen.device)
        self.losses[places] = seen.residual.square().flatten(2).sum(2).mean(0)
        for j, (correction, t) in enumerate(self.corrections):
            self.gains[j, places] = _gain(correction, t, seen)
        self.moments.add_(seen.group, seen.residual.mean(0))
        if self.line is not None:
            self.line.add_(seen)


def _gain(correction: Correction, t: Real[Tensor, "1"], seen: Observation) -> Float64[Tensor, "b"]:
    """2 c.r - |c|^2 of each image, mean over its draws."""
    falls = []
    for x_t, y, residual in zip(seen.x_t, seen.prediction, seen.residual, strict=True):
        subtracted = correction(x_t, t, y, seen.conditions).expand_as(y)
        falls.append((2 * subtracted * residual - subtracted**2).flatten(1).sum(1))
    return torch.stack(falls).mean(0)
