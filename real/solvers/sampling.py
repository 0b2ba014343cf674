"""Samples from noise that calibrated and uncalibrated runs share."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from real.families.checkpoint import Checkpoint
from real.solvers.base import Solver, SolverRun
from real.solvers.by_name import solver_named
from theory.calibration.progress import Progress
from theory.diffusion.targets import DATA, convert
from theory.forward.images import DEFAULT_BATCH
from theory.forward.keyed_noise import keyed_noise
from theory.forward.network import Predict
from theory.support.errors import InputError, NonFiniteError


@dataclass(frozen=True)
class Samples:
    """Images, and what it took to draw them.

    Attributes:
        images: (n, c, h, w) float32 in [-1, 1], on the CPU; decoded where there is a codec.
        solver: its name.
        nfe: network evaluations per sample that it took.
        seconds: wall time of all of them, without decoding.
    """

    images: Tensor
    solver: str
    nfe: int
    seconds: float


def latents(checkpoint: Checkpoint, count: int, seed: int) -> Tensor:
    """Starting noise (count, c, h, w), float32, the same for the same seed."""
    return keyed_noise(seed, "sample", 0, 0, torch.arange(count), checkpoint.shape).float()


def evaluations_per_sample(checkpoint: Checkpoint, solver: str | Solver, nfe: int) -> int:
    """How many network evaluations per sample a solver takes of the ``nfe`` that it may take.

    Raises:
        InputError: an unknown solver, no evaluation, or more steps than the network has times.
    """
    return len(_begin(checkpoint, solver, nfe).times)


def odd_evaluations(solver: str, used: int, allowed: int) -> list[str]:
    """A list with one line if a solver uses fewer evaluations than it may, as Heun's; empty otherwise."""
    if used == allowed:
        return []
    return [f"{solver} uses an odd number of network evaluations: {used} of {allowed}"]


def solver_times(checkpoint: Checkpoint, solver: str, nfe: int) -> Tensor:
    """The distinct times at which a solver evaluates the network, in its order.

    Raises:
        InputError: as ``evaluations_per_sample``.
    """
    times = _begin(checkpoint, solver, nfe).times
    return times[torch.tensor([t not in times[:i] for i, t in enumerate(times)])]


@torch.no_grad()
def sample(
    checkpoint: Checkpoint,
    predict: Predict,
    noise: Tensor,
    *,
    solver: str | Solver,
    nfe: int,
    seed: int = 0,
    condition: Tensor | Sequence[str] | None = None,
    batch_size: int = DEFAULT_BATCH,
    on_progress: Callable[[int], None] | None = None,
) -> Samples:
    """Draw samples.

    Args:
        checkpoint: the network's schedule, target and codec.
        predict: the checkpoint's own prediction, or its ``Calibrated`` one.
        noise: standard noise (n, c, h, w), from ``latents``, on the device of the network.
        solver: one of ``real.solvers``, or its name.
        nfe: network evaluations per sample, at most; Heun's method uses an odd number of them.
        seed: key of the noise that stochastic solvers add; it belongs to the sample, not the batch.
        condition: labels (n,) or n texts, handed to ``predict``.
        batch_size: samples per network call.
        on_progress: called with the number of samples after each evaluation.

    Raises:
        InputError: as ``evaluations_per_sample``, or not one condition per sample.
        NonFiniteError: a prediction that is not finite.
    """
    if condition is not None and len(condition) != len(noise):
        raise InputError(f"condition: expected one per sample ({len(noise)}), got {len(condition)}")
    start, images, used = time.perf_counter(), [], 0
    for first in range(0, len(noise), batch_size):
        part = slice(first, min(first + batch_size, len(noise)))
        run = _begin(checkpoint, solver, nfe)
        own = predict if condition is None else partial(predict, condition=condition[part])
        fresh = partial(_solver_noise, seed, torch.arange(part.start, part.stop), noise[part])
        images.append(_integrate(run, checkpoint, own, noise[part], fresh, on_progress).cpu())
        used = len(run.times)
    seconds = time.perf_counter() - start
    if checkpoint.codec:
        images = [checkpoint.codec.decode(x.to(noise.device)).cpu() for x in images]
    name = solver.name if isinstance(solver, Solver) else solver
    return Samples(torch.cat(images).clamp(-1, 1), name, used, seconds)


def sampled_once(progress: Progress, name: str, draw: Callable[[], Samples]) -> Samples:
    """Samples that are drawn once in a run, however often it is killed; seconds are those of drawing.

    Args:
        progress: of the run.
        name: of the samples.
        draw: draws them.
    """
    return Samples(**progress.once(name, lambda _: vars(draw())))


def _begin(checkpoint: Checkpoint, solver: str | Solver, nfe: int) -> SolverRun:
    if nfe < 1:
        raise InputError(f"nfe: expected at least 1, got {nfe}")
    found = solver if isinstance(solver, Solver) else solver_named(solver)
    return found.begin(checkpoint.schedule, nfe, checkpoint.scheduler_config)


def _solver_noise(seed: int, members: Tensor, like: Tensor, step: int) -> Tensor:
    """The noise that a stochastic solver adds to these samples in a step."""
    return keyed_noise(seed, "solver", step, 0, members, tuple(like.shape[1:])).to(like)


def _integrate(
    run: SolverRun,
    checkpoint: Checkpoint,
    predict: Predict,
    noise: Tensor,
    fresh_noise: Callable[[int], Tensor],
    on_progress: Callable[[int], None] | None,
) -> Tensor:
    """Take noise to samples, one network evaluation after the other."""
    schedule = checkpoint.schedule
    x = run.start(noise)
    for i, t in enumerate(run.times):
        x_t = x * run.norm(schedule.alpha(t), schedule.sigma(t)).item()
        t_batch = (t.to(x.dtype) if t.is_floating_point() else t).to(x.device).expand(len(x))
        x_0 = convert(predict(x_t, t_batch), x_t, t, checkpoint.target, DATA, schedule)
        if not torch.isfinite(x_0).all():
            raise NonFiniteError(f"network: NaN or infinity in the prediction at t={t.item():g}")
        x = run.step(i, x_0, x, partial(fresh_noise, i))
        if on_progress:
            on_progress(len(x))
    return x
