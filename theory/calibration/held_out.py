"""One pass over held-out images: the network's loss, and what each of some corrections takes off it.

With r = y_theta - y the residual of a draw and c what is subtracted,

    |r|^2 - |r - c|^2 = 2 c.r - |c|^2,

so that paired draws tell the fall of the denoising loss with little variance. The image is the
statistical unit: draws on one image are averaged first.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float64, Int64, Real
from torch import Tensor

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
) -> HeldOut:
    """Measure a network and some corrections of it on the same images and the same noise.

    Args:
        network: the network as it is.
        corrections: what to subtract from its predictions, by name.
        images: checked batches that nothing was estimated from.
        times: (T,).
        seed: key of the noise, so that losses of several networks are paired.
        draws: noise draws per image and time.
        mean_image: of other images, for the comparison with the best line; None for none.
        units: (n,), which images belong together, numbered from 0 in no order of the images.
        device: where the network runs (default: where the images are).
        on_progress: called with the number of network evaluations after each call.

    Raises:
        InputError: as ``observe``.
    """
    losses: list[list[Tensor]] = [[] for _ in times]
    gains: dict[str, list[list[Tensor]]] = {name: [[] for _ in times] for name in corrections}
    moments: dict[int, Moments] = {}
    lines = [] if mean_image is None else [LineSums(mean_image) for _ in times]
    for seen in observe(
        network, images, times, Draws(seed, PURPOSE, draws), device=device, on_progress=on_progress,
        group=units % GROUPS,
    ):  # fmt: skip
        k, mean = seen.time_index, seen.residual.mean(0)
        losses[k].append(seen.residual.square().flatten(2).sum(2).mean(0).cpu())
        for name, correction in corrections.items():
            gains[name][k].append(_gain(correction, times[k][None], seen).cpu())
        for line in lines[k : k + 1]:
            line.add_(seen)
        sums = moments.get(k) or Moments.empty(tuple(mean.shape[1:]), GROUPS)
        moments[k] = sums = sums.to(mean.device)
        sums.add_(seen.group, mean)
    clustered = len(units.unique()) < len(units)
    return HeldOut(
        _table(losses),
        {name: _table(columns) for name, columns in gains.items()},
        tuple(
            replace(moments[k].to("cpu"), clustered=clustered).squared_norm()
            for k in range(len(times))
        ),
        tuple(line.to_("cpu").comparison() for line in lines),
    )


def _gain(correction: Correction, t: Real[Tensor, "1"], seen: Observation) -> Float64[Tensor, "b"]:
    """2 c.r - |c|^2 of each image, mean over its draws."""
    falls = []
    for x_t, y, residual in zip(seen.x_t, seen.prediction, seen.residual, strict=True):
        subtracted = correction(x_t, t, y, seen.conditions).expand_as(y)
        falls.append((2 * subtracted * residual - subtracted**2).flatten(1).sum(1))
    return torch.stack(falls).mean(0)


def _table(columns: list[list[Tensor]]) -> Float64[Tensor, "image time"]:
    return torch.stack([torch.cat(column) for column in columns], 1)
