"""Study of the estimators on a checkpoint: error against evaluations, gain against images.

Error is measured against the mean residual of all calibration images over very many draws; gain
on held-out images, as the fall of the likelihood bound. Both are repeated over seeds, each with its
own subset of the images and its own noise.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from real.checkpoints import Checkpoint
from real.sampling import latents, sample
from theory.calibration import Calibration, calibrate, prepare
from theory.estimators import PLAIN, REGRESSION, RESIDUAL, Estimator
from theory.measurement import over_all
from theory.shrinkage import CERTIFIED, PUBLISHED, SHRUNK, Policy
from theory.validation import validate

SIZES = (25, 50, 100, 200, 400)
ESTIMATORS = (PLAIN, RESIDUAL, REGRESSION)
RECIPES: dict[str, tuple[Estimator, Policy]] = {
    "published": (PLAIN, PUBLISHED),
    "shrunk": (REGRESSION, SHRUNK),
    "certified": (REGRESSION, CERTIFIED),
}


@dataclass(frozen=True)
class Study:
    """What was measured, as plain data: rows of ``errors`` and ``gains``.

    errors: estimator, images, seed, and the geometric mean over times of |estimate - truth|^2.
    gains: recipe, images, seed, and the fall of the bound in nats with its interval.
    """

    times: list[float]
    errors: list[dict[str, Any]]
    gains: list[dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """A checkpoint with its images, and how much to do."""

    checkpoint: Checkpoint
    images: Tensor
    held_out: Tensor
    times: Tensor
    seeds: int
    truth_draws: int
    seed: int
    device: Any
    on_progress: Callable[[int], None] | None = None

    @property
    def sizes(self) -> list[int]:
        """Numbers of images to try: no more than there are."""
        return sorted({min(size, len(self.images)) for size in SIZES})

    def evaluations(self) -> int:
        """How many network evaluations the study takes, samples not counted."""
        subsets = self.seeds * sum(self.sizes) * (len(ESTIMATORS) + len(RECIPES) + 1)
        checks = self.seeds * len(self.sizes) * (len(RECIPES) + 1) * len(self.held_out)
        return len(self.times) * (len(self.images) * self.truth_draws + subsets + checks)


def study(plan: Plan, generated_nfe: int = 20) -> Study:
    """Run the whole study."""
    truth = _truth(plan)
    noise = latents(plan.checkpoint, max(plan.sizes), plan.seed).to(plan.device)
    generated = sample(
        plan.checkpoint, plan.checkpoint.predict, noise, solver="ddim", nfe=generated_nfe
    ).images
    errors, gains = [], []
    for size, seed, images in _subsets(plan):
        for estimator in ESTIMATORS:
            found = _calibrate(plan, images, seed, estimator, PUBLISHED)
            error = (found.shift - truth).square().flatten(1).sum(1)
            mean = error.log().mean().exp().item()
            errors.append(
                {"estimator": estimator.name, "images": size, "seed": seed, "error": mean}
            )
        for name, (estimator, policy) in RECIPES.items():
            found = _calibrate(plan, images, seed, estimator, policy)
            gains.append({"recipe": name, "images": size, "seed": seed} | _gain(plan, found, seed))
        found = _calibrate(plan, generated[:size], seed, REGRESSION, CERTIFIED)
        row = {"recipe": "certified, generated", "images": size, "seed": seed}
        gains.append(row | _gain(plan, found, seed))
    return Study(plan.times.tolist(), errors, gains)


def _subsets(plan: Plan) -> Iterator[tuple[int, int, Tensor]]:
    for seed in range(plan.seed + 1, plan.seed + 1 + plan.seeds):
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(plan.images), generator=generator)
        for size in plan.sizes:
            yield size, seed, plan.images[order[:size]]


def _truth(plan: Plan) -> Tensor:
    setup = prepare(
        plan.checkpoint.predict, plan.checkpoint.schedule, plan.checkpoint.target, plan.images,
        plan.times, seed=plan.seed, draws=plan.truth_draws, device=plan.device,
        on_progress=plan.on_progress,
    )  # fmt: skip
    return torch.stack([m.mean for m in over_all(setup, RESIDUAL, plan.truth_draws).moments])


def _calibrate(
    plan: Plan, images: Tensor, seed: int, estimator: Estimator, policy: Policy
) -> Calibration:
    return calibrate(
        plan.checkpoint.predict, plan.checkpoint.schedule, target=plan.checkpoint.target,
        images=images, times=plan.times, estimator=estimator, policy=policy, seed=seed,
        device=plan.device, on_progress=plan.on_progress,
    )  # fmt: skip


def _gain(plan: Plan, calibration: Calibration, seed: int) -> dict[str, float]:
    gain = validate(
        plan.checkpoint.predict, calibration, images=plan.held_out, seed=seed,
        device=plan.device, on_progress=plan.on_progress,
    ).bound_gain()  # fmt: skip
    return {"gain": gain.value, "gain_lower": gain.lower, "gain_upper": gain.upper}
