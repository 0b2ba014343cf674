"""Calibrate a checkpoint on images: one pass, with what the published plain average would have cost."""

from collections.abc import Callable
from typing import Any

import diffusers
import numpy
import torch

from real.checkpoints import Checkpoint
from real.images import ImageSource
from theory.calibration import Calibration, measure
from theory.estimators import PLAIN, RESIDUAL
from theory.schedules import Times

PLAIN_ERROR = "plain_error_energy"
"""Provenance key: error energy per time of the plain average over the same evaluations."""


def calibrate_checkpoint(
    checkpoint: Checkpoint,
    images: ImageSource,
    times: Times,
    *,
    seed: int,
    draws: int,
    device: Any,
    on_progress: Callable[[int], None] | None = None,
) -> Calibration:
    """The calibration of a checkpoint, with its provenance.

    Raises:
        InputError: as ``theory.calibration.calibrate``.
    """
    estimates = measure(
        checkpoint.predict, checkpoint.schedule, target=checkpoint.target, images=images,
        times=times, estimators=(PLAIN, RESIDUAL), seed=seed, draws=draws, device=device,
        on_progress=on_progress,
        checkpoint=checkpoint.reference, fingerprint=checkpoint.fingerprint, data=images.name,
        versions={m.__name__: m.__version__ for m in (torch, diffusers, numpy)},
    )  # fmt: skip
    plain, best = estimates[PLAIN.name], estimates[RESIDUAL.name]
    return best.with_provenance(**{PLAIN_ERROR: plain.error_energy.tolist()})
