"""Certificates of a correction that hold at every number of images, by betting.

A certificate of a calibration is asymptotic: Student's bound over 16 groups. Here the correction is
given, and images that it was not made from are bet on. What is bounded is the gain of predictions of x_0
that are clipped to the range of the data, as samplers clip them: per image

    |clip(x) - x_0|^2 - |clip(x - c) - x_0|^2  >=  -2 R sum_p min(R, largest |c_p|),

R the width of the range and c the correction of the predicted x_0. Of a constant shift c is known; of
slopes only that clipping leaves R. The floor is known before any image is seen, so that a bound by
betting (``theory.statistics.betting``) holds for every n.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.calibration.arguments import as_device
from theory.calibration.result import Calibration
from theory.diffusion.likelihood_bound import gain_weights
from theory.diffusion.targets import DATA, shift_factor
from theory.forward.clipping import clipped_data, require_in_range
from theory.forward.forward_pass import observe
from theory.forward.images import DEFAULT_BATCH, Conditions, Images, ImageSet, Unseen
from theory.forward.keyed_noise import Draws
from theory.forward.network import Network, Predict
from theory.forward.survey import survey
from theory.statistics.betting import lower_bound
from theory.statistics.intervals import LEVEL

PURPOSE = "exact"


@dataclass(frozen=True)
class ExactCertificate:
    """Lower bounds of gains in the clipped x_0 that hold together with probability 0.95, at every n.

    Attributes:
        units: how many independent images were bet on.
        times: (T,) lower bounds of the fall of E|clip(x_0,theta) - x_0|^2.
        floors: (T,) the gain of an image that is certain without looking, negative.
        total: lower bound of the weighted sum: of the fall of the likelihood bound in nats.
        mean: the same sums' mean over the images, for comparison.
    """

    units: int
    times: tuple[float, ...]
    floors: tuple[float, ...]
    total: float
    mean: float


def exact_certificate(
    predict: Predict,
    calibration: Calibration,
    *,
    images: Images,
    conditions: Conditions | None = None,
    groups: Sequence[Any] | Tensor | None = None,
    data_range: tuple[float, float] = (-1.0, 1.0),
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
) -> ExactCertificate:
    """Bound the gain of a calibration on images that it was not made from; those it was are left out.

    Args:
        predict: the network without calibration.
        calibration: what is certified, as it is.
        images, conditions, groups, seed, batch_size, device, on_progress: as for ``validate``. Of images
            that belong together the first alone is bet on.
        data_range: to which predictions of x_0 are clipped, and in which the images lie.

    Raises:
        InputError: as ``validate``.
    """
    network = Network(predict, calibration.schedule, calibration.target)
    held_out = Unseen(
        ImageSet(images, conditions, batch_size, groups), calibration.image_ids, calibration.shape
    )
    firsts = survey(held_out).firsts
    times = calibration.times
    gains: list[list[Tensor]] = [[] for _ in times]
    for seen in observe(
        network, held_out, times, Draws(seed, PURPOSE), device=as_device(device),
        members=firsts.expand(len(times), -1), on_progress=on_progress,
    ):  # fmt: skip
        require_in_range(seen.x_0, data_range)
        t = times[seen.time_index][None]
        y, x_t = seen.prediction[0], seen.x_t[0]
        less = y - calibration.correction(x_t, t, y, seen.conditions)
        before, after = (
            (clipped_data(network, value, x_t, t, data_range) - seen.x_0).square().flatten(1).sum(1)
            for value in (y, less)
        )
        gains[seen.time_index].append((before - after).cpu())
    table = torch.stack([torch.cat(column) for column in gains], 1)
    return _bounded(calibration, table, _floors(calibration, data_range[1] - data_range[0]))


def _floors(calibration: Calibration, width: float) -> Float64[Tensor, "time"]:
    """The least gain of an image at each time, (T,)."""
    factor = shift_factor(calibration.times, calibration.target, DATA, calibration.schedule).abs()
    largest = calibration.shift.flatten(1).abs() * factor[:, None]
    others = [part.applied for part in calibration.parts[1:]]
    if others:
        free = torch.stack(others).any(0)
        largest = torch.where(free[:, None], width, largest)
    return -2 * width * largest.clamp(max=width).sum(1)


def _bounded(
    calibration: Calibration, table: Float64[Tensor, "image time"], floors: Float64[Tensor, "time"]
) -> ExactCertificate:
    weights = gain_weights(calibration.schedule, DATA, calibration.times)
    error = (1 - LEVEL) / (len(floors) + 1)

    def bound(values: Tensor, floor: float) -> float:
        return lower_bound(values, floor, -floor, error) if floor < 0 else 0.0

    total = table @ weights
    return ExactCertificate(
        units=len(table),
        times=tuple(
            bound(column, floor) for column, floor in zip(table.T, floors.tolist(), strict=True)
        ),
        floors=tuple(floors.tolist()),
        total=bound(total, (floors @ weights).item()),
        mean=total.mean().item(),
    )
