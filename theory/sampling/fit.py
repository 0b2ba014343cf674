"""Fit a solver to a network: its start, its trajectory, its marginals, and what each gained.

Steps are fitted in their order, each at the positions to which those before it lead, maps included.
Where moments are led to known ones, those of the fine solution are led there, too: it is this one that
steps are fitted to, and not the network's own, whose errors the maps would have to take away again.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.forward.images import Conditions, take
from theory.forward.keyed_noise import keyed_noise
from theory.sampling.cells import CellWeights
from theory.sampling.data_law import DataLaw
from theory.sampling.fitted import MARGINALS, PARTS, START, TRAJECTORY, FittedSolver
from theory.sampling.flow import Flow, fine_times
from theory.sampling.marginal_fit import (
    GROUPS,
    KINDS,
    MomentFit,
    MomentMap,
    fit_moments,
    moment_errors,
)
from theory.sampling.multistep import Multistep, scales, with_end
from theory.sampling.start import DataStart
from theory.sampling.trajectory_fit import MOST_HISTORY, fit_step
from theory.statistics.intervals import Estimate
from theory.statistics.lower_bounds import lower_bounds
from theory.support.checks import require_at_least
from theory.support.errors import InputError

PURPOSE, FRESH, BASES = "fit-solver", "fit-solver-fresh", "fit-solver-bases"
"""Keys of the noise of starts; samples and calibrations have others."""
DIVISIONS = (4, 8, 16, 32)
FINE_ENOUGH = 0.01
"""The fine solution's own error, over that of the solver which is fitted."""
PROBED = 16
"""Starts on which it is found how fine the fine solution must be."""
COMPARED = 32
"""Starts whose fine samples are held against the images, where no trajectory is fitted."""
TRIED = 32
"""Starts on which solvers are compared as bases of a fit."""
LEAST_STARTS = 2 * GROUPS


@dataclass(frozen=True, eq=False)
class Starts:
    """Independent starts of trajectories, with their conditions."""

    noise: Float64[Tensor, "n *shape"]
    conditions: Conditions | None

    @classmethod
    def drawn(
        cls,
        seed: int,
        purpose: str,
        count: int,
        shape: tuple[int, ...],
        conditions: Conditions | None,
    ) -> "Starts":
        """Standard noise of that key; conditions are taken in turn, in an order of their own.

        Those of users' files are often sorted.

        Args:
            seed, purpose: key of the noise.
            count: of starts.
            shape: of one image.
            conditions: of samples, as they will be wanted.
        """
        noise = keyed_noise(seed, purpose, 0, 0, torch.arange(count), shape)
        if conditions is None:
            return cls(noise, None)
        order = torch.randperm(len(conditions), generator=torch.Generator().manual_seed(seed))
        return cls(noise, take(conditions, order[torch.arange(count) % len(order)]))

    def first(self, count: int) -> "Starts":
        """The first of them."""
        return Starts(self.noise[:count], take(self.conditions, torch.arange(count)))


def fit_solver(
    flow: Flow,
    base: Multistep,
    shape: tuple[int, ...],
    *,
    parts: Collection[str] = PARTS,
    law: DataLaw | None = None,
    conditions: Conditions | None = None,
    starts: int = 128,
    fresh: int = 64,
    seed: int = 0,
    provenance: Mapping[str, Any] | None = None,
) -> FittedSolver:
    """Fit the parts that are asked for, and measure on fresh starts what they gain.

    Args:
        flow: the network, as it will be sampled from.
        base: the solver.
        shape: of one image.
        parts: of ``PARTS``.
        law: of the images; only the trajectory can do without.
        conditions: of samples, as they will be wanted, in any order.
        starts: trajectories that are fitted to.
        fresh: trajectories on which gains are measured.
        seed: key of all starts.
        provenance: anything worth keeping with the result.

    Raises:
        InputError: no part, an unknown one, one that needs images without them, or too few starts.
    """
    unknown = set(parts) - set(PARTS)
    if unknown or not parts:
        raise InputError(f"parts: expected some of {', '.join(PARTS)}, got {sorted(parts)!r:.60}")
    if law is None and set(parts) != {TRAJECTORY}:
        raise InputError("parts: start and marginals are fitted to images, got none")
    require_at_least("starts", starts, LEAST_STARTS)
    require_at_least("fresh starts", fresh, LEAST_STARTS)
    drawn = Starts.drawn(seed, PURPOSE, starts, shape, conditions)
    solver = FittedSolver.unfitted(shape, base, flow.clip, dict(provenance or {}))
    if law is not None and START in parts:
        a, s = scales(base.log_snr[:1])
        solver = replace(solver, start=DataStart.of(law, a.item(), s.item()))
    matched = law is not None and MARGINALS in parts
    led = Matching(law, solver.base) if law is not None and matched else None
    figures: dict[str, Any] = {}
    division = DIVISIONS[0]
    path: list[Tensor] | None = None
    if TRAJECTORY in parts:
        division, error, own = _division(flow, solver, drawn.first(PROBED))
        u = solver.begin(drawn.noise)
        path = flow.fine(solver.base, division, u, drawn.conditions, led)
        own = path[-1] if led is None else own
        figures |= {"division": division, "fine_solution_error": error}
    elif law is not None:
        some = drawn.first(min(COMPARED, starts))
        u = solver.begin(some.noise)
        own = flow.fine(solver.base, division, u, some.conditions)[-1]
    if law is not None:
        figures["law"] = against(law, own)
    if path is not None or matched:
        solver, figures["steps"] = _with_steps(flow, solver, drawn, path, law if matched else None)
    figures["evaluations_fitting"] = flow.evaluations
    apart = Starts.drawn(seed, FRESH, fresh, shape, conditions)
    if TRAJECTORY in parts:
        figures["distance"] = _distance(flow, solver, apart, division, led)
    if law is not None and matched:
        figures["moments"] = _moments(flow, solver, apart, law)
    figures["evaluations"] = flow.evaluations
    return replace(solver, figures=figures)


def base_errors(
    flow: Flow,
    bases: Sequence[Multistep],
    shape: tuple[int, ...],
    conditions: Conditions | None,
    seed: int,
) -> list[float]:
    """How far a fit to each solver is from the fine solution: what to choose a solver and its times by.

    The mean squared distance at the end, on left-out ones of a few starts, over the dimension.

    Args:
        flow: the network, as it will be sampled from.
        bases: the solvers.
        shape: of one image.
        conditions: of samples, as they will be wanted, in any order.
        seed: key of the starts.
    """
    starts = Starts.drawn(seed, BASES, TRIED, shape, conditions)
    errors = []
    for base in bases:
        solver = FittedSolver.unfitted(shape, base, flow.clip, {})
        path = flow.fine(base, DIVISIONS[0], starts.noise, starts.conditions)
        _, steps = _with_steps(flow, solver, starts, path, None)
        errors.append(steps[-1]["trajectory"]["after"] / math.prod(shape))
    return errors


def _division(flow: Flow, solver: FittedSolver, starts: Starts) -> tuple[int, float, Tensor]:
    """How finely to divide intervals, the squared error of that over the base solver's, and samples."""
    u = solver.begin(starts.noise)
    coarse = flow.solve(solver.base, u, starts.conditions)[-1]
    now = flow.fine(solver.base, DIVISIONS[0], u, starts.conditions)[-1]
    for division in DIVISIONS:
        finer = flow.fine(solver.base, 2 * division, u, starts.conditions)[-1]
        error = ((now - finer).square().sum() / (coarse - finer).square().sum()).item()
        same = len(fine_times(flow.network, solver.base, division)) == len(
            fine_times(flow.network, solver.base, 2 * division)
        )
        if error <= FINE_ENOUGH or same:
            break
        now = finer
    return division, error, finer


class Matching:
    """Leads positions at a solver's times to the known moments, by maps fitted to the first that come."""

    def __init__(self, law: DataLaw, base: Multistep) -> None:
        self.law = law
        self.a, self.s = (values.tolist() for values in scales(with_end(base.log_snr)))
        self.maps: dict[int, MomentMap | None] = {}

    def fit(self, k: int, u: Tensor) -> MomentFit:
        """The map at the k-th time."""
        return fit_moments(u, self.law, self.a[k], self.s[k], KINDS)

    def __call__(self, k: int, u: Tensor) -> Tensor:
        """Where positions at the k-th time are led to."""
        if k not in self.maps:
            self.maps[k] = self.fit(k, u).map
        found = self.maps[k]
        return u if found is None else found.apply(u)


def _with_steps(
    flow: Flow,
    solver: FittedSolver,
    starts: Starts,
    path: list[Tensor] | None,
    law: DataLaw | None,
) -> tuple[FittedSolver, list[dict[str, Any]]]:
    """The solver with what is added to its steps and with maps after them, and how these were chosen.

    Where moments are led, the last step stays the solver's own: a map after it would only repaint
    samples, and the end of the fine solution has errors of the network that nothing takes away.

    Args:
        flow: the network.
        solver: with its start.
        starts: to fit to.
        path: positions at the solver's times that its steps are fitted to; None for none.
        law: whose moments its positions are led to; None for none.
    """
    u, last = solver.begin(starts.noise), len(solver.base) - 1
    matching = None if law is None else Matching(law, solver.base)
    added: list[CellWeights | None] = []
    maps: list[MomentMap | None] = []
    choices, data = [], []
    for i, t in enumerate(solver.base.times):
        data.append(flow.data(u, t, starts.conditions))
        choice: dict[str, Any] = {"t": t.item()}
        following = solver.base.step(i, u, data)
        step = mapped = None
        if path is not None and (matching is None or i < last):
            known = [u, *reversed(data)][: 1 + max(MOST_HISTORY, solver.base.weights.shape[1] - 1)]
            fit = fit_step(
                torch.stack([x.flatten(1) for x in known]),
                (path[i + 1] - following).flatten(1),
                solver.shape,
            )
            step = fit.added
            following = following if step is None else following + step.apply(known)
            choice["trajectory"] = {
                "before": fit.before, "after": fit.after, "cells": step and step.cells.name,
                "predictions": len(step.weights) - 1 if step else 0,
            }  # fmt: skip
        if matching is not None and i < last:
            found = matching.fit(i + 1, following)
            mapped = found.map
            following = following if mapped is None else mapped.apply(following)
            choice["marginals"] = {
                "before": found.before, "after": found.after, "cells": mapped and mapped.cells.name
            }  # fmt: skip
        u = following
        added.append(step)
        maps.append(mapped)
        choices.append(choice)
    return replace(solver, added=tuple(added), maps=tuple(maps)), choices


def against(law: DataLaw, samples: Float64[Tensor, "n *shape"]) -> dict[str, float]:
    """The law of samples against that of images.

    ``mean``: the squared difference of the means, less its noise, over the sum of the variances;
    ``variance``: the sum of the samples' variances over that of the images', and ``variance_error`` its
    standard error, as if the coordinates were independent and normal.
    """
    flat = samples.flatten(1).cpu()
    own, theirs = flat.var(0).sum(), law.images.var(0).sum()
    difference = (flat.mean(0) - law.mean.flatten()).square().sum()
    noise = own / len(flat) + theirs / law.count
    energy = law.images.var(0).square().sum()
    return {
        "mean": ((difference - noise) / theirs).item(),
        "variance": (own / theirs).item(),
        "variance_error": (2 * energy / theirs**2 / len(flat)).sqrt().item(),
    }


def _distance(
    flow: Flow, fitted: FittedSolver, starts: Starts, division: int, led: Matching | None
) -> dict[str, dict[str, float]]:
    """Mean squared distance of samples to the fine solution, per pixel: 95 % intervals over starts."""
    u = fitted.begin(starts.noise)
    fine = flow.fine(fitted.base, division, u, starts.conditions, led)[-1]
    ends = {
        "before": flow.solve(fitted.base, u, starts.conditions)[-1],
        "after": flow.solve(fitted, u, starts.conditions)[-1],
    }
    squares = {name: (end - fine).flatten(1).square().mean(1) for name, end in ends.items()}
    squares["fall"] = squares["before"] - squares["after"]
    return {name: vars(Estimate.of_mean(values)) for name, values in squares.items()}


def _moments(flow: Flow, fitted: FittedSolver, starts: Starts, law: DataLaw) -> dict[str, float]:
    """Squared error of the moments on the way, summed over the steps, and a lower bound of its fall."""
    a, s = (values.tolist() for values in scales(with_end(fitted.base.log_snr)))
    errors, u = {}, fitted.begin(starts.noise)
    for name, solver in (("before", fitted.base), ("after", fitted)):
        positions = flow.solve(solver, u, starts.conditions)[1:-1]
        each = [moment_errors(u, law, a[i + 1], s[i + 1]) for i, u in enumerate(positions)]
        errors[name] = torch.stack(each).sum(0) if each else torch.zeros(1, dtype=torch.float64)
    fall = errors["before"] - errors["after"]
    means = {name: values.mean().item() for name, values in (*errors.items(), ("fall", fall))}
    return {**means, "fall_lower": lower_bounds(fall, 1).item()}
