"""Calibrate a checkpoint on images, with the provenance that a file should carry."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import diffusers
import numpy
import torch

from real.calibrated.conditions import missing_classes
from real.calibrated.counted import counted
from real.families.checkpoint import Checkpoint
from real.images.base import ImageSource
from theory.calibration import Calibration, calibrate, calibrate_exactly
from theory.calibration.result import ASYMPTOTIC, EXACT
from theory.calibration.verdict import TOO_FAR
from theory.diffusion.data_range import DataRange
from theory.diffusion.schedules import Times
from theory.estimators.slopes import WIDEST_GAP
from theory.statistics.intervals import LEVEL, cautions


def calibrate_checkpoint(
    checkpoint: Checkpoint,
    images: ImageSource,
    times: Times | int,
    *,
    certificate: str = ASYMPTOTIC,
    provenance: Mapping[str, Any] | None = None,
    **options: Any,
) -> Calibration:
    """The calibration of a checkpoint, with the provenance that a file should carry.

    Args:
        checkpoint: the network, its schedule and its target.
        images: as the network takes them.
        times: distinct times of the schedule, or how many.
        certificate: of which kind; an exact one takes half of the images to judge the correction.
        provenance: anything else worth keeping with the result.
        options: those of ``theory.calibrate``.

    Raises:
        InputError: as ``theory.calibrate``; an exact certificate of a network on latents.
    """
    origin = {
        "checkpoint": checkpoint.reference,
        "fingerprint": checkpoint.fingerprint,
        "data": images.name,
        **({"codec": checkpoint.codec.fingerprint} if checkpoint.codec else {}),
        "versions": {m.__name__: m.__version__ for m in (torch, diffusers, numpy)},
    }
    run: Callable[..., Calibration] = calibrate
    if certificate == EXACT:
        run = partial(calibrate_exactly, data_range=DataRange(*checkpoint.data_range))
    calibration = run(
        checkpoint.predict, checkpoint.schedule, target=checkpoint.target, images=images,
        times=times, provenance=origin | dict(provenance or {}), **options,
    )  # fmt: skip
    missing = missing_classes(checkpoint, options.get("conditions"))
    return replace(calibration, doubts=(*calibration.doubts, *missing))


SAMPLES = "A bound that falls does not promise better samples; `quality` measures them."


def calibration_summary(calibration: Calibration) -> list[str]:
    """What the calibration cost, what it found and what it leaves alone, a line each."""
    ratio = (calibration.plain_error_energy / calibration.error_energy).log().mean().exp().item()
    images = [choice.images for choice in calibration.choices]
    used = sorted({f"{c.estimator}, {counted(c.draws, 'draw')}" for c in calibration.choices})
    applied = int((calibration.weights > 0).sum())
    warning = calibration.warning()
    lines = [
        *([f"warning: {warning}"] if warning else []),
        _certified(calibration),
        *_few(calibration),
        *_dependent(calibration),
        f"{counted(len(images), 'time')}, {_range(min(images), max(images))} of "
        f"{calibration.provenance['images']} images, "
        f"{counted(calibration.provenance['evaluations'], 'network evaluation')} ({'; '.join(used)})",
        f"error energy of the plain average over that of the shift, at as many evaluations: {ratio:,.3g}"
        + (" (geometric mean)" if len(images) > 1 else ""),
        f"shift: applied at {applied} of {counted(len(images), 'time')}"
        + (
            "; the others are left alone, as no gain is certain there"
            if applied < len(images)
            else ""
        )
        + _smoothed(calibration),
    ]
    if calibration.slopes:
        kinds = Counter(calibration.slopes.kinds)
        found = ", ".join(f"{kind} at {n}" for kind, n in kinds.items())
        lines.append(f"slopes: {found}{_wide_gaps(calibration)}")
    if calibration.class_shift:
        differing = int((calibration.class_shift.certificates > 0).sum())
        lines.append(f"classes: certain to differ at {counted(differing, 'time')}")
    return [*lines, *_exact(calibration), SAMPLES]


def _range(least: int, most: int) -> str:
    return str(most) if least == most else f"{least} to {most}"


def _exact(calibration: Calibration) -> list[str]:
    """What an exact certificate took, and at which times it speaks for itself."""
    if calibration.exact is None:
        return []
    held, bounds = calibration.exact.data_range, calibration.certified_gain(calibration.times)
    applied = int(calibration.exact.applied.sum())
    return [
        f"exact: made from {calibration.provenance['images']} images, judged by betting on "
        f"{calibration.provenance['images_judging']} others, x_0 clipped to "
        f"[{held.least:g}, {held.most:g}]; a gain at {int((bounds > 0).sum())} of "
        f"{'the one time' if applied == 1 else f'the {applied} times'} at which it is applied"
    ]


def _few(calibration: Calibration) -> list[str]:
    """A caution about slopes that are certified from few images by bounds for many."""
    slopes = calibration.slopes
    if calibration.exact is not None or slopes is None or not slopes.applied.any():
        return []
    made = calibration.provenance
    independent = made.get("independent", made.get("images", 0))
    return [
        f"{line}; --certificate exact holds for every number"
        for line in cautions("independent images", independent)
    ]


def _dependent(calibration: Calibration) -> list[str]:
    independent, images = (calibration.provenance.get(key) for key in ("independent", "images"))
    if independent is None:
        return []
    return [
        f"{independent} independent units in {images} images: copies, and what belongs together, count once"
    ]


def _smoothed(calibration: Calibration) -> str:
    parts = []
    if calibration.smoothing > 0:
        parts.append(f"smoothed over log-SNR ({calibration.smoothing:g})")
    if calibration.bands > 1:
        parts.append(f"shrunk in {calibration.bands} frequency bands")
    return "".join(f"; {part}" for part in parts)


def _wide_gaps(calibration: Calibration) -> str:
    """Between which times the slopes are off, as these lie too far apart."""
    wide = int((calibration.grid.gaps > WIDEST_GAP).sum())
    if not wide:
        return ""
    return (
        f"; off between {counted(wide, 'pair')} of neighbouring times, more than {WIDEST_GAP:g} apart "
        "in log-SNR: take more times"
    )


def _certified(calibration: Calibration) -> str:
    bound = calibration.total_certificate
    if not bound > 0:
        return "No gain is certain in all from these images."
    solver = calibration.provenance.get("solver")
    times, sure = len(calibration.times), f"({LEVEL:.0%}, {calibration.certainty})"
    if times == 1 and not solver:
        return (
            f"Certified: it takes at least {bound:.4g} off the squared error at this time {sure}."
        )
    of = (
        f"the discrete bound of {solver}" if solver else f"the bound (trapezoid over {times} times)"
    )
    said = f"Certified: it gains at least {bound:.4g} nats of {of} {sure}."
    if solver or calibration.grid.widest_gap <= TOO_FAR:
        return said
    return f"{said} But these times lie too far apart in log-SNR to stand for the bound: take more."
