"""What every study works on: a network, images to calibrate it on, and images to judge it by."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from real.calibrated.conditions import ConditionedImages
from real.families.checkpoint import Checkpoint
from theory.calibration.passes import Problem, pose
from theory.calibration.progress import Progress
from theory.estimators.parts import PartEstimator
from theory.forward.network import Network

Rows = list[dict[str, Any]]
"""What a study finds: plain data, a row per measurement."""


def rows_where(rows: Rows, **wanted: Any) -> Rows:
    """The rows that have these values."""
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def names_in(rows: Rows, key: str) -> list[Any]:
    """The values of a key without repetition, in their first order."""
    return list(dict.fromkeys(row[key] for row in rows))


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """A network with its images; each kind of study adds how much is done with them.

    Attributes:
        checkpoint: the network.
        images: to calibrate it on.
        held_out: to judge it by.
        times: (T,), where it is calibrated.
        device: where it runs.
        on_progress: called with the number of network evaluations after each call.
        progress: how far the study has come.
    """

    checkpoint: Checkpoint
    images: ConditionedImages
    held_out: ConditionedImages
    times: Tensor
    device: Any = None
    on_progress: Callable[[int], None] | None = None
    progress: Progress = field(default_factory=Progress)

    def chosen_images(self, count: int, seed: int) -> ConditionedImages:
        """``count`` of the images to calibrate on, chosen at random from a seed."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.images), generator=generator)
        return self.images.at(order[:count])

    def problem(
        self,
        network: Network,
        images: ConditionedImages,
        seed: int,
        parts: tuple[PartEstimator, ...],
    ) -> Problem:
        """The problem of calibrating a network on some images, at the plan's times."""
        return pose(
            network, images, self.times, parts, seed=seed, device=self.device,
            on_progress=self.on_progress, progress=self.progress,
        )  # fmt: skip
