"""Study of the estimators on a checkpoint: error against evaluations, gain against images.

Error is measured against the mean residual of all calibration images over very many draws; gain
on held-out images, as the fall of the likelihood bound. Both are repeated over seeds, each with its
own subset of the images and its own noise.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from real.calibrated.conditions import Conditioned
from real.families.checkpoint import Checkpoint
from real.solvers.sampling import latents, sample
from theory.calibration.passes import PassResult, Problem, full_pass, pose
from theory.calibration.procedure import calibrate, conclude, parts_of
from theory.calibration.result import Calibration
from theory.calibration.validation import validate
from theory.estimators.amortized_network import fit_network
from theory.estimators.control_variates import NAMED, PLAIN, REGRESSION, RESIDUAL, Estimator
from theory.forward.images import DEFAULT_BATCH, ImageSet
from theory.statistics.shrinkage import CERTIFIED, PUBLISHED, SHRUNK, SMOOTHED, Policy

LEAST_IMAGES = 25
RECIPES: dict[str, tuple[Estimator, Policy]] = {
    "published": (PLAIN, PUBLISHED),
    "shrunk": (REGRESSION, SHRUNK),
    "certified": (REGRESSION, CERTIFIED),
}


@dataclass(frozen=True)
class Study:
    """What was measured, as plain data: rows of ``errors`` and ``gains``.

    errors: estimator, images, network evaluations, seed, and the geometric mean over times of
        |estimate - truth|^2. "spline" and "network" are the regression estimates of all times,
        smoothed over log-SNR by the one or the other.
    gains: recipe, images, seed, and the fall of the bound in nats with its interval.
    """

    times: list[int] | list[float]
    errors: list[dict[str, Any]]
    gains: list[dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """A checkpoint with its images, and how much to do."""

    checkpoint: Checkpoint
    images: Conditioned
    held_out: Conditioned
    times: Tensor
    seeds: int
    truth_draws: int
    seed: int
    device: Any
    on_progress: Callable[[int], None] | None = None

    @property
    def sizes(self) -> list[int]:
        """Numbers of images to try, each twice the one before, up to all there are."""
        count = len(self.images)
        doublings = range(max(0, math.ceil(math.log2(count / LEAST_IMAGES))))
        return [LEAST_IMAGES * 2**k for k in doublings] + [count]

    def evaluations(self) -> int:
        """How many network evaluations the study takes, samples not counted."""
        subsets = self.seeds * sum(self.sizes) * (len(NAMED) + 1)
        checks = self.seeds * len(self.sizes) * (len(RECIPES) + 1) * len(self.held_out)
        return len(self.times) * (len(self.images) * self.truth_draws + subsets + checks)


def study(plan: Plan, generated_nfe: int = 20) -> Study:
    """Run the whole study."""
    truth = _truth(plan)
    generated = _generated(plan, generated_nfe)
    errors, gains = [], []
    for size, seed, images in _subsets(plan):
        of = {"images": size, "seed": seed}
        problem = _problem(plan, images, seed)
        measured = {name: full_pass(problem, NAMED[name], 1) for name in NAMED}
        for name, estimates in _estimates(problem, measured, seed).items():
            error = (estimates - truth).square().flatten(1).sum(1).log().mean().exp().item()
            spent = {"evaluations": size * len(plan.times)}
            errors.append({"estimator": name, "error": error} | of | spent)
        for name, (estimator, policy) in RECIPES.items():
            found = conclude(problem, measured[estimator.name], policy)
            gains.append({"recipe": name} | of | _gain(plan, found, seed))
        found = _calibrate(plan, generated.at(torch.arange(size)), seed)
        gains.append({"recipe": "certified, generated"} | of | _gain(plan, found, seed))
    return Study(plan.times.tolist(), errors, gains)


def _generated(plan: Plan, nfe: int) -> Conditioned:
    """The network's own samples as it takes images, under the conditions of the images."""
    noise = latents(plan.checkpoint, max(plan.sizes), plan.seed).to(plan.device)
    conditions, codec = plan.images.in_turn(len(noise)), plan.checkpoint.codec
    images = sample(
        plan.checkpoint, plan.checkpoint.predict, noise, solver="ddim", nfe=nfe,
        condition=conditions,
    ).images  # fmt: skip
    if codec:
        parts = images.split(DEFAULT_BATCH)
        images = torch.cat([codec.encode(part.to(plan.device)).cpu() for part in parts])
    return Conditioned(images, conditions)


def _estimates(problem: Problem, measured: dict[str, PassResult], seed: int) -> dict[str, Tensor]:
    """Estimates of every kind, (T, *shape), before any shrinking."""
    found = {name: conclude(problem, m, PUBLISHED).shift for name, m in measured.items()}
    best = conclude(problem, measured[REGRESSION.name], PUBLISHED)
    found["spline"] = conclude(problem, measured[REGRESSION.name], SMOOTHED).shift
    log_snr = problem.grid.log_snr
    found["network"] = fit_network(log_snr, best.shift, best.error_energy, seed)(log_snr)
    return found


def _subsets(plan: Plan) -> Iterator[tuple[int, int, Conditioned]]:
    for seed in range(plan.seed + 1, plan.seed + 1 + plan.seeds):
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(plan.images), generator=generator)
        for size in plan.sizes:
            yield size, seed, plan.images.at(order[:size])


def _problem(plan: Plan, images: Conditioned, seed: int) -> Problem:
    return pose(
        plan.checkpoint.network, ImageSet(images.images, images.conditions), plan.times,
        parts_of(), seed=seed, device=plan.device, on_progress=plan.on_progress,
    )  # fmt: skip


def _truth(plan: Plan) -> Tensor:
    problem = _problem(plan, plan.images, plan.seed)
    return torch.stack(
        [m.mean for m in full_pass(problem, RESIDUAL, plan.truth_draws).measured.moments]
    )


def _calibrate(plan: Plan, images: Conditioned, seed: int) -> Calibration:
    return calibrate(
        plan.checkpoint.predict, plan.checkpoint.schedule, target=plan.checkpoint.target,
        images=images.images, conditions=images.conditions, times=plan.times, seed=seed,
        device=plan.device,
        on_progress=plan.on_progress,
    )  # fmt: skip


def _gain(plan: Plan, calibration: Calibration, seed: int) -> dict[str, float]:
    gain = validate(
        plan.checkpoint.predict, calibration, images=plan.held_out.images,
        conditions=plan.held_out.conditions, seed=seed,
        device=plan.device, on_progress=plan.on_progress,
    ).bound_gain()  # fmt: skip
    return {"gain": gain.value, "gain_lower": gain.lower, "gain_upper": gain.upper}
