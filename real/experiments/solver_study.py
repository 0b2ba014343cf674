"""Distances of samples to real images against evaluations: solvers of diffusers, and fitted ones.

All start from the same noise of each seed. Fits see none of it, nor the images compared with.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from real.calibrated.fitted_solvers import fit_checkpoint_solver
from real.families.checkpoint import Checkpoint
from real.images.base import ImageSource
from real.quality.measure import Reference, Sampler
from real.solvers.by_name import EVENLY
from real.solvers.fitted import as_solver
from real.solvers.sampling import latents, sample
from theory.diffusion.targets import data_and_noise
from theory.forward.images import Conditions

OWN = ("ddim", "dpm-multi-2")
"""What is compared beyond the evaluations at which solvers are fitted: how good the network itself is."""
SOLVERS = ("ddim", "dpm-multi-2", "dpm-multi-3", "unipc", "deis", "heun")
FITTED = {
    "fitted: trajectory": ("trajectory",),
    "fitted: marginals": ("marginals",),
    "fitted: start": ("start",),
    "fitted": ("start", "trajectory", "marginals"),
}
EPSILON = "epsilon scaling"
FACTORS = (0.97, 0.98, 0.99, 1.0, 1.01)
"""Tried for the noise that is predicted (Ning et al. 2024); the best on starts of its own is taken."""
SEARCH_SEED = 1000
SCALED = "ddim"
BASES = (SCALED, EVENLY)


@dataclass(frozen=True)
class SolverPlan:
    """What is compared.

    Attributes:
        checkpoint: the network.
        images: that solvers are fitted to, as the network takes them.
        nfe: numbers of evaluations.
        fitted_up_to: the largest of them at which solvers are fitted.
        seeds: of the starts.
        samples: for each solver, number and seed.
        condition: of each sample.
        device: of the network.
        on_progress: called with the number of evaluations after each call.
    """

    checkpoint: Checkpoint
    images: ImageSource
    nfe: tuple[int, ...]
    fitted_up_to: int
    seeds: tuple[int, ...]
    samples: int
    condition: Conditions | None
    device: torch.device
    on_progress: Callable[[int], None] | None = None


def solver_study(plan: SolverPlan, reference: Reference) -> Iterator[dict[str, Any]]:
    """A row for each solver, number of evaluations and seed."""
    for nfe in plan.nfe:
        for name, (sampler, spent) in _samplers(plan, reference, nfe).items():
            for seed in plan.seeds:
                found = _distances(plan, reference, sampler, nfe, seed)
                yield {"solver": name, "nfe": nfe, "seed": seed, "spent": spent} | found


def _samplers(plan: SolverPlan, reference: Reference, nfe: int) -> dict[str, tuple[Sampler, int]]:
    """Every way to sample with so many evaluations, and what was spent to find it."""
    own = plan.checkpoint.predict
    if nfe > plan.fitted_up_to:
        return {name: (Sampler(own, name), 0) for name in OWN}
    found = {name: (Sampler(own, name), 0) for name in SOLVERS if name != "heun" or nfe % 2}
    found[EPSILON] = _searched(plan, reference, nfe)
    for name, parts in FITTED.items():
        fitted = fit_checkpoint_solver(
            plan.checkpoint, own, BASES, nfe, images=plan.images, conditions=plan.condition,
            parts=parts, seed=plan.seeds[0],
            flow={"device": plan.device, "on_progress": plan.on_progress},
        )  # fmt: skip
        spent = fitted.figures["evaluations_fitting"]
        found[name] = Sampler(own, as_solver(fitted)), spent
    return found


def _distances(
    plan: SolverPlan, reference: Reference, sampler: Sampler, nfe: int, seed: int
) -> dict[str, float]:
    noise = latents(plan.checkpoint, plan.samples, seed).to(plan.device)
    drawn = sample(
        plan.checkpoint, sampler.predict, noise, solver=sampler.solver, nfe=nfe, seed=seed,
        condition=plan.condition, on_progress=plan.on_progress,
    )  # fmt: skip
    measured = reference.against(drawn.images, seed, len(drawn.images))
    return {name: measured[name] for name in ("frechet", "kid")}


def _searched(plan: SolverPlan, reference: Reference, nfe: int) -> tuple[Sampler, int]:
    """DDIM with the noise times the best of some factors, judged on starts of their own."""
    tried = {c: Sampler(partial(_with_scaled_noise, plan.checkpoint, c), SCALED) for c in FACTORS}
    found = {
        c: _distances(plan, reference, sampler, nfe, SEARCH_SEED)["frechet"]
        for c, sampler in tried.items()
    }
    return tried[min(found, key=found.__getitem__)], len(FACTORS) * plan.samples * nfe


def _with_scaled_noise(
    checkpoint: Checkpoint, factor: float, x_t: Tensor, t: Tensor, condition: Any = None
) -> Tensor:
    """The prediction whose noise is that of the network times a factor."""
    y = checkpoint.predict(x_t, t) if condition is None else checkpoint.predict(x_t, t, condition)
    schedule, target = checkpoint.schedule, checkpoint.target
    _, e = data_and_noise(y, x_t, t, target, schedule)
    alpha, sigma = (f(t).to(x_t)[:, None, None, None] for f in (schedule.alpha, schedule.sigma))
    return target.value(schedule, t, (x_t - sigma * factor * e) / alpha, factor * e).to(y)
