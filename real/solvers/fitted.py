"""Solvers that are fitted to a network, among the others; and the linear ones that can be fitted."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from real.families.checkpoint import Checkpoint
from real.solvers import ddim
from real.solvers.base import Solver, SolverRun, variance_preserving
from real.solvers.by_name import solver_named
from theory.diffusion.data_range import DataRange
from theory.diffusion.schedules import Schedule
from theory.sampling.fitted import FittedSolver
from theory.sampling.multistep import Multistep
from theory.support.errors import InputError

ROUNDING = 1e-6
"""Weights smaller than this, of those whose sum is 1, are rounding."""


def as_solver(fitted: FittedSolver) -> Solver:
    """A fitted solver as samplers take it: for its own number of evaluations."""

    def begin(schedule: Schedule, nfe: int, hints: Mapping[str, Any]) -> SolverRun:
        """Begin a run.

        Raises:
            InputError: another number of evaluations than it was fitted for.
        """
        if nfe != len(fitted.base):
            raise InputError(
                f"fitted solver: expected {len(fitted.base)} evaluations, as it was fitted, got {nfe}"
            )
        data: list[Tensor] = []
        own = [fitted]

        def start(noise: Tensor) -> Tensor:
            """The first u."""
            own[0] = fitted.to(noise)
            return own[0].begin(noise)

        def step(i: int, x_0: Tensor, x: Tensor, draw: Any) -> Tensor:
            """The next u."""
            data.append(fitted.clipped(x_0))
            return own[0].step(i, x, data)

        return SolverRun(fitted.base.times, variance_preserving, start, step)

    return Solver(f"fitted {fitted.provenance.get('solver', 'solver')}", begin)


def linear_solver(checkpoint: Checkpoint, name: str, nfe: int) -> Multistep:
    """A solver as the weights of what it combines, found by letting it run on unit vectors.

    Args:
        checkpoint: the network, for its schedule and its scheduler's settings.
        name: of the solver.
        nfe: evaluations, at most.

    Raises:
        InputError: an unknown solver, or one whose steps are not linear.
    """
    solver = solver_named(name)
    times, ends = _probe(solver, checkpoint, nfe, _units)
    n = len(times)
    mixed = torch.randn(1 + n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    _, found = _probe(solver, checkpoint, nfe, lambda n: mixed[:, None] / 8)
    if not torch.allclose(ends @ mixed / 8, found[:, 0], atol=1e-6):
        raise InputError(f"solver: expected one whose steps are linear, got {name}")
    weights = torch.zeros(n, 1 + n, dtype=torch.float64)
    for i, (now, then) in enumerate(pairwise(ends)):
        kept = then[0] / now[0] if now[0].abs() > ROUNDING else torch.zeros(())
        weights[i, 0] = kept
        weights[i, 1 : i + 2] = (then - kept * now)[1 : i + 2].flip(0)
    weights = torch.where(weights.abs() < ROUNDING, 0.0, weights)
    used = int((weights[:, 1:] != 0).any(0).nonzero().max()) + 1
    return Multistep(times, checkpoint.schedule.log_snr(times), weights[:, : 1 + used])


def _units(n: int) -> Tensor:
    return torch.eye(1 + n, dtype=torch.float64)


def _probe(solver: Solver, checkpoint: Checkpoint, nfe: int, inputs: Any) -> tuple[Tensor, Tensor]:
    """Let a solver run on given noise and predictions; its times, and u at each, a row per time.

    Args:
        inputs: inputs(n) -> (1 + n, many), the noise and the n predictions of many runs.
    """
    unclipped = {k: v for k, v in checkpoint.scheduler_config.items() if not _clips(k)}
    run = solver.begin(checkpoint.schedule, nfe, unclipped)
    log_snr = checkpoint.schedule.log_snr(run.times)
    alpha, sigma = checkpoint.schedule.alpha(run.times), checkpoint.schedule.sigma(run.times)
    scale = run.norm(alpha, sigma) / torch.hypot(alpha, sigma)
    given = inputs(len(log_snr))[:, :, None, None, None]

    def refuse() -> Tensor:
        """Raises: InputError, as the solver would draw noise."""
        raise InputError(f"solver: expected one without noise of its own, got {solver.name}")

    x = run.start(given[0])
    found = [x * scale[0]]
    for i in range(len(run.times)):
        x = run.step(i, given[1 + i], x, refuse)
        found.append(x * (scale[i + 1] if i + 1 < len(scale) else 1.0))
    return run.times, torch.stack(found)[:, :, 0, 0, 0]


def _clips(key: str) -> bool:
    return "clip" in key or "threshold" in key


def clips_by_itself(solver: str) -> bool:
    """Whether a solver does what the network's own configuration says of clipping, as DDIM alone does."""
    return solver in {each.name for each in ddim.SOLVERS}


def clipping_of(checkpoint: Checkpoint) -> DataRange | None:
    """The range that the network's own configuration clips predictions to; None for none.

    Raises:
        InputError: it thresholds by each image's own quantiles.
    """
    config = checkpoint.scheduler_config
    if config.get("thresholding"):
        raise InputError("solver: a network that thresholds dynamically cannot be fitted to")
    if not config.get("clip_sample"):
        return None
    most = float(config.get("clip_sample_range", 1.0))
    return DataRange(-most, most)
