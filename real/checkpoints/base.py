"""What every family of checkpoint is loaded into."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from theory.observations import Predict
from theory.schedules import Schedule
from theory.targets import Target


@dataclass(frozen=True)
class Checkpoint:
    """A pretrained network, ready to be called.

    Attributes:
        reference: where it came from, as the user named it.
        predict: predict(x_t, t, condition=None) -> y, in the dtype and on the device of x_t.
        schedule, target, shape: what it was trained for; the shape is (c, h, w).
        conditions: number of classes, or None if unconditional.
        fingerprint: digest of its weights and architecture.
        scheduler_config: the diffusers scheduler configuration that it samples with.
    """

    reference: str
    predict: Predict
    schedule: Schedule
    target: Target
    shape: tuple[int, ...]
    conditions: int | None
    fingerprint: str
    scheduler_config: Mapping[str, Any]
