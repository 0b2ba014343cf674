"""Fit a solver to a checkpoint, and read the file of one for it."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from real.calibrated.conditions import missing_classes
from real.calibrated.counted import counted
from real.families.checkpoint import Checkpoint
from real.images.base import ImageSource
from real.solvers.fitted import clipping_of, clips_by_itself, linear_solver
from theory.diffusion.schedules import RectifiedFlow, require_storable
from theory.forward.images import Conditions
from theory.forward.network import Network, Predict
from theory.sampling.data_law import DataLaw
from theory.sampling.fit import base_errors, fit_solver
from theory.sampling.fitted import PARTS, TRAJECTORY, FittedSolver
from theory.sampling.flow import Flow
from theory.sampling.multistep import Multistep
from theory.support.errors import InputError

UNLIKE = 0.25
"""Images of another law than the samples': a share of their variance by which means or variances differ."""


def fit_checkpoint_solver(
    checkpoint: Checkpoint,
    predict: Predict,
    solvers: Sequence[str],
    nfe: int,
    *,
    images: ImageSource | None = None,
    conditions: Conditions | None = None,
    parts: Collection[str] = PARTS,
    flow: dict[str, Any] | None = None,
    provenance: dict[str, Any] | None = None,
    **options: Any,
) -> FittedSolver:
    """Fit a solver to a network as it will be sampled from.

    Args:
        checkpoint: the network.
        predict: its prediction, calibrated and guided as it will be.
        solvers, nfe: which may be fitted, and their evaluations at most. Of several the first is, unless
            another's steps and times can be fitted better to the fine solution.
        images: as the network takes them; only the trajectory can do without.
        conditions: of samples, as they will be wanted, in any order.
        parts: start, trajectory, marginals.
        flow: batch_size, device and on_progress.
        provenance: anything worth keeping with the result.
        options: starts, fresh and seed of ``theory.sampling.fit_solver``.

    Raises:
        InputError: as ``linear_solver`` and ``fit_solver``.
    """
    network = Network(predict, checkpoint.schedule, checkpoint.target)
    calls = Flow(network, clipping_of(checkpoint), **(flow or {}))
    bases = [linear_solver(checkpoint, solver, nfe) for solver in solvers]
    errors = [0.0]
    if len(bases) > 1 and TRAJECTORY in parts:
        seed = options.get("seed", 0)
        errors = base_errors(calls, bases, checkpoint.shape, conditions, seed)
    best = errors.index(min(errors))
    solver, base = solvers[best], bases[best]
    data = {} if images is None else {"data": images.name}
    fitted = fit_solver(
        calls, base, checkpoint.shape, parts=parts, law=None if images is None else DataLaw.of(images),
        conditions=conditions, provenance=_origin(checkpoint, solver, base) | data | (provenance or {}),
        **options,
    )  # fmt: skip
    if len(errors) == 1:
        return fitted
    tried = dict(zip(solvers, errors, strict=True))
    return replace(fitted, figures={**fitted.figures, "bases": tried})


def unfitted_solver(checkpoint: Checkpoint, solver: str, nfe: int) -> FittedSolver:
    """A solver with nothing fitted to it: it clips where it does by itself.

    Raises:
        InputError: as ``linear_solver``; for a solver that clips, as ``clipping_of``.
    """
    base = linear_solver(checkpoint, solver, nfe)
    clip = clipping_of(checkpoint) if clips_by_itself(solver) else None
    return FittedSolver.unfitted(checkpoint.shape, base, clip, _origin(checkpoint, solver, base))


def _origin(checkpoint: Checkpoint, solver: str, base: Multistep) -> dict[str, Any]:
    """What a solver is for."""
    require_storable(checkpoint.schedule)
    return {
        "checkpoint": checkpoint.reference, "fingerprint": checkpoint.fingerprint,
        "schedule": checkpoint.schedule.describe(), "target": checkpoint.target.name,
        "time_scale": _time_scale(checkpoint), "solver": solver, "nfe": len(base),
    }  # fmt: skip


def _time_scale(checkpoint: Checkpoint) -> int:
    """The timestep of a diffusers network over the schedule's time."""
    if not isinstance(checkpoint.schedule, RectifiedFlow):
        return 1
    return int(checkpoint.scheduler_config.get("num_train_timesteps", 1000))


def doubts_of(
    checkpoint: Checkpoint, fitted: FittedSolver, images: ImageSource | None
) -> list[str]:
    """What speaks against the images having the law of the samples, a line each."""
    if images is None:
        return []
    labels = images.labels if isinstance(images.labels, torch.Tensor) else None
    doubts = missing_classes(checkpoint, labels)
    law = fitted.figures.get("law")
    if law and law["mean"] > UNLIKE:
        doubts.append(
            f"the mean of the network's own fine samples is off that of the images by {law['mean']:.0%} "
            "of their variance"
        )
    if law and abs(law["variance"] - 1) > UNLIKE + 3 * law["variance_error"]:
        doubts.append(
            f"the network's own fine samples have {law['variance']:.2f} times the images' variance"
        )
    return doubts


def fitted_summary(fitted: FittedSolver) -> list[str]:
    """What was fitted, what it cost, and what it gained on fresh starts, a line each."""
    found, solver = fitted.figures, fitted.provenance["solver"]
    lines = [
        f"{solver}, {counted(len(fitted.base), 'evaluation')}: "
        f"{', '.join(fitted.parts) or 'nothing'} fitted with "
        f"{counted(found['evaluations_fitting'], 'network evaluation')}, "
        f"{found['evaluations'] - found['evaluations_fitting']:,} more on fresh starts"
    ]
    if fitted.clip and not clips_by_itself(solver):
        lines.append(
            f"predictions are clipped to [{fitted.clip.least:g}, {fitted.clip.most:g}], fitted or not; "
            f"{solver} by itself does not clip"
        )
    if "bases" in found:
        tried = ", ".join(f"{name} {error:.3g}" for name, error in found["bases"].items())
        lines.append(f"left by a fit to the steps and times of each solver, per pixel: {tried}")
    if distance := measured_distance(found):
        before, after, fall = (distance[name] for name in ("before", "after", "fall"))
        lines.append(
            f"squared distance to the network's own fine solution{_led(fitted)}, per pixel: "
            f"{before['value']:.3g} -> {after['value']:.3g}, a fall of {fall['value']:.3g} "
            f"({fall['lower']:.3g} to {fall['upper']:.3g}, 95 %); the fine solution's own error is "
            f"{found['fine_solution_error']:.1g} of the first"
        )
    if m := measured_moments(found):
        lines.append(
            "squared error of the moments on the way, in standard deviations of the images there, summed "
            f"over coordinates and steps: {m['before']:.3g} -> {seen(m['after'])}, "
            f"a fall of {m['fall']:.3g} (at least {m['fall_lower']:.3g}, 95 %)"
        )
    return lines


def measured_distance(figures: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Squared distances to the fine solution; none where the solver itself ends there, as in one step."""
    found: dict[str, dict[str, float]] = figures.get("distance", {})
    return found if found and found["before"]["value"] > 0 else {}


def measured_moments(figures: Mapping[str, Any]) -> dict[str, float]:
    """Squared errors of the moments on the way; none where one step leaves no way."""
    found: dict[str, float] = figures.get("moments", {})
    return found if found and found["before"] != 0 else {}


def seen(error: float) -> str:
    """An unbiased estimate of a squared error, which is below zero where none is seen."""
    return f"{error:.3g}" if error > 0 else f"none that is seen (estimate {error:.3g})"


def _led(fitted: FittedSolver) -> str:
    return ", led to the images' moments" if "moments" in fitted.figures else ""


def digest_of(path: Path | None) -> str | None:
    """Digest of a file; None for none."""
    return None if path is None else hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def require_fitted_to(fitted: FittedSolver, fingerprint: str, name: str) -> None:
    """Raises: InputError, it was fitted to another network than that of this fingerprint and name."""
    made = fitted.provenance
    if made.get("fingerprint") != fingerprint:
        raise InputError(
            f"fitted solver: made for {made.get('checkpoint', 'another network')}, whose weights are "
            f"not those of {name}"
        )


def load_fitted(
    checkpoint: Checkpoint,
    path: Path,
    *,
    guidance: float,
    calibrations: tuple[Path | None, ...],
    condition: str | None = None,
) -> FittedSolver:
    """Read a fitted solver, and require that it was fitted to just this network.

    One that was fitted to all conditions in turn serves for each of them, and not the other way round.

    Args:
        checkpoint: the network.
        path: of the file.
        guidance: as the network will be sampled with.
        calibrations: the files of both branches.
        condition: of every sample; None for all in turn.

    Raises:
        InputError: as ``FittedSolver.load``, or it was fitted to another network, with another guidance,
            or with other calibrations, or to another condition alone.
    """
    fitted = FittedSolver.load(path)
    made = fitted.provenance
    require_fitted_to(fitted, checkpoint.fingerprint, checkpoint.reference)
    if float(made.get("guidance", 0.0)) != guidance:
        raise InputError(
            f"fitted solver: expected guidance {made.get('guidance', 0.0):g}, as it was fitted, "
            f"got {guidance:g}"
        )
    if made.get("calibrations", [None, None]) != [digest_of(file) for file in calibrations]:
        raise InputError("fitted solver: expected the calibration that it was fitted with")
    if made.get("condition") not in (None, condition):
        raise InputError(
            f"fitted solver: expected --condition {made['condition']}, to which alone it was fitted, "
            f"got {'all in turn' if condition is None else condition}"
        )
    return fitted
