"""Is a network miscalibrated? A test of E[x_0,theta - x_0] = 0 at each time that may stop when it knows.

Predictions of x_0 are clipped to the range of the data, R wide, so that a residual r of an image lies in
[-R, R] at every pixel. Bets are placed on z_i = u_i.r_i / (R |u_i|_1), whose mean is zero if that of r is,
along the sum u_i of all residuals before. The wealth of such bets (``theory.statistics.betting``) is an
e-value at every number of images: where it reaches T/p at one of T times, the network is miscalibrated
there, with probability p of any error (Ville, Bonferroni).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.calibration.arguments import as_device, as_schedule_times, as_target
from theory.diffusion.schedules import Schedule, Times
from theory.diffusion.targets import NOISE, Target
from theory.forward.clipping import clipped_data, require_in_range
from theory.forward.forward_pass import observe
from theory.forward.images import DEFAULT_BATCH, Conditions, Images, ImageSet
from theory.forward.keyed_noise import Draws
from theory.forward.network import Network, Predict
from theory.forward.survey import survey
from theory.statistics.betting import wealth
from theory.statistics.intervals import LEVEL

PURPOSE = "test"


@dataclass(frozen=True)
class TimeVerdict:
    """What is known at one time.

    Attributes:
        t: the time.
        e_value: the largest wealth so far.
        known_after: images after which it was enough; None where the network is not known to be
            miscalibrated, which does not say that it is calibrated.
    """

    t: float
    e_value: float
    known_after: int | None


@dataclass(frozen=True)
class MiscalibrationTest:
    """The verdicts of all times, and how many independent images were seen."""

    times: tuple[TimeVerdict, ...]
    images: int

    @property
    def miscalibrated(self) -> int:
        """At how many times the network is known to be miscalibrated."""
        return sum(verdict.known_after is not None for verdict in self.times)


def betting_test(
    predict: Predict,
    schedule: Schedule,
    *,
    target: Target | str = NOISE,
    images: Images,
    times: Times | int,
    conditions: Conditions | None = None,
    groups: Sequence[Any] | Tensor | None = None,
    data_range: tuple[float, float] = (-1.0, 1.0),
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
) -> MiscalibrationTest:
    """Bet against E[x_0,theta] = E[x_0] at each time, batch after batch, until all times are known.

    Args:
        predict, schedule, target, times, conditions, groups, seed, batch_size, device, on_progress: as
            for ``calibrate``. Of copies of an image the first alone is bet on.
        images: in no order, as those of a shuffled set.
        data_range: to which predictions of x_0 are clipped, and in which the images lie.

    Raises:
        InputError: as ``calibrate``, or images outside the range.
    """
    network = Network(predict, schedule, as_target(target))
    times = as_schedule_times(schedule, times)
    image_set = ImageSet(images, conditions, batch_size, groups)
    members = survey(image_set).firsts.expand(len(times), -1)
    enough, width = len(times) / (1 - LEVEL), data_range[1] - data_range[0]
    runs = [_Run(width) for _ in times]
    for seen in observe(
        network, image_set, times, Draws(seed, PURPOSE), members=members, device=as_device(device),
        on_progress=on_progress,
    ):  # fmt: skip
        require_in_range(seen.x_0, data_range)
        k = seen.time_index
        x_0 = clipped_data(network, seen.prediction[0], seen.x_t[0], times[k][None], data_range)
        runs[k].add((x_0 - seen.x_0).flatten(1).cpu())
        if k == len(times) - 1 and all(run.known_after(enough) for run in runs):
            break
    verdicts = (
        TimeVerdict(t, run.largest(), run.known_after(enough))
        for t, run in zip(times.double().tolist(), runs, strict=True)
    )
    return MiscalibrationTest(tuple(verdicts), max(len(run.z) for run in runs))


class _Run:
    """The bets at one time."""

    def __init__(self, width: float) -> None:
        self.width = width
        self.sum: Tensor = torch.zeros(())
        self.z = torch.zeros(0, dtype=torch.float64)

    def add(self, residuals: Float64[Tensor, "b d"]) -> None:
        """Place bets on some images, each along the sum of all residuals before it."""
        before = self.sum + residuals.cumsum(0) - residuals
        size = before.abs().sum(1)
        along = (before * residuals).sum(1) / (self.width * size).clamp(min=1e-300)
        self.z = torch.cat([self.z, torch.where(size > 0, along, 0.0)])
        self.sum = self.sum + residuals.sum(0)

    def largest(self) -> float:
        """The largest wealth so far."""
        return wealth(self.z).max().item() if len(self.z) else 1.0

    def known_after(self, enough: float) -> int | None:
        """Images after which the wealth was enough."""
        reached = (wealth(self.z) >= enough).nonzero()
        return int(reached[0]) + 1 if len(reached) else None
