"""Calibrate a checkpoint on images, with the provenance that a file should carry."""

from collections.abc import Callable
from typing import Any

import diffusers
import numpy
import torch

from real.checkpoints import Checkpoint
from real.images import ImageSource
from theory.budget import Goal
from theory.calibration import Calibration, calibrate
from theory.schedules import Times
from theory.shrinkage import CERTIFIED, Policy


def calibrate_checkpoint(
    checkpoint: Checkpoint,
    images: ImageSource,
    times: Times,
    *,
    seed: int,
    draws: int = 1,
    goal: Goal | None = None,
    policy: Policy = CERTIFIED,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
) -> Calibration:
    """The calibration of a checkpoint.

    Raises:
        InputError: as ``theory.calibration.calibrate``.
    """
    return calibrate(
        checkpoint.predict, checkpoint.schedule, target=checkpoint.target, images=images,
        times=times, goal=goal, policy=policy, seed=seed, draws=draws, device=device, on_progress=on_progress,
        checkpoint=checkpoint.reference, fingerprint=checkpoint.fingerprint, data=images.name,
        versions={m.__name__: m.__version__ for m in (torch, diffusers, numpy)},
    )  # fmt: skip


def described(calibration: Calibration) -> list[str]:
    """What was spent, what was found, and what is left alone, in words."""
    ratio = (calibration.plain_error_energy / calibration.error_energy).log().mean().exp().item()
    images = [choice.images for choice in calibration.choices]
    used = sorted({f"{c.estimator}, {c.draws} draw(s)" for c in calibration.choices})
    applied = int((calibration.weights > 0).sum())
    return [
        f"{len(images)} times, {min(images)} to {max(images)} of "
        f"{calibration.provenance['images']} images, "
        f"{calibration.provenance['evaluations']:,} network evaluations ({'; '.join(used)})",
        f"error energy {ratio:,.0f} times below the plain average's at as many evaluations "
        "(geometric mean)",
        f"applied at {applied} times; left alone at {len(images) - applied}, where a gain is not "
        "certain",
    ]
