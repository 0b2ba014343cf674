"""Study of the estimators on a checkpoint: error against evaluations, gain against images.

Error is measured against the mean residual of all calibration images over very many draws; gain
on held-out images, as the fall of the likelihood bound. Both are repeated over seeds, each with its
own subset of the images and its own noise.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from real.calibrated.conditions import ConditionedImages
from real.experiments.study_plan import Rows, StudyPlan
from real.solvers.sampling import latents, sample
from theory.calibration.passes import PassResult, Problem, full_pass
from theory.calibration.procedure import conclude, parts_of
from theory.calibration.progress import Progress
from theory.calibration.result import Calibration
from theory.calibration.validation import validate
from theory.estimators.amortized_network import fit_network
from theory.estimators.control_variates import NAMED, PLAIN, REGRESSION, RESIDUAL, Estimator
from theory.forward.images import DEFAULT_BATCH
from theory.statistics.shrinkage import CERTIFIED, SHRUNK, SMOOTHED, UNSHRUNK, Policy

LEAST_IMAGES = 25
RECIPES: dict[str, tuple[Estimator, Policy]] = {
    "published": (PLAIN, UNSHRUNK),
    "shrunk": (REGRESSION, SHRUNK),
    "certified": (REGRESSION, CERTIFIED),
}


@dataclass(frozen=True)
class EstimatorStudy:
    """What was measured, as plain data.

    Attributes:
        times: (T,).
        errors: estimator, images, network evaluations, seed, and the geometric mean over times of
            |estimate - truth|^2. "spline" and "network" are the regression estimates of all times,
            smoothed over log-SNR by the one or the other.
        gains: recipe, images, seed, and the fall of the bound in nats with its interval.
    """

    times: list[int] | list[float]
    errors: Rows
    gains: Rows


@dataclass(frozen=True, kw_only=True)
class EstimatorStudyPlan(StudyPlan):
    """How much the study does.

    Attributes:
        seeds: repetitions, each with its own subsets of the images and its own noise.
        truth_draws: noise draws per image and time of the very large run.
        seed: of that run; the repetitions have those after it.
        generated_nfe: network evaluations per generated image.
    """

    seeds: int
    truth_draws: int = 32
    seed: int = 0
    generated_nfe: int = 20

    @property
    def sizes(self) -> list[int]:
        """Numbers of images to try, each twice the one before, up to all there are."""
        count = len(self.images)
        doublings = range(max(0, math.ceil(math.log2(count / LEAST_IMAGES))))
        return [LEAST_IMAGES * 2**k for k in doublings] + [count]

    def subsets(self) -> Iterator[tuple[int, int, ConditionedImages]]:
        """Number of images, seed, and images, of every repetition."""
        for seed in range(self.seed + 1, self.seed + 1 + self.seeds):
            for size in self.sizes:
                yield size, seed, self.chosen_images(size, seed)

    def evaluations(self) -> int:
        """How many network evaluations the study takes, samples not counted."""
        subsets = self.seeds * sum(self.sizes) * (len(NAMED) + 1)
        checks = self.seeds * len(self.sizes) * (len(RECIPES) + 1) * len(self.held_out)
        return len(self.times) * (len(self.images) * self.truth_draws + subsets + checks)


def run_estimator_study(plan: EstimatorStudyPlan) -> EstimatorStudy:
    """Run the whole study."""
    once = plan.progress.once
    truth = once("truth", lambda own: {"truth": _truth(replace(plan, progress=own))})["truth"]
    images = once("generated", lambda _: {"images": _generated(plan)})["images"]
    generated = ConditionedImages(images, plan.images.conditions_in_turn(len(images)))
    errors, gains = [], []
    for size, seed, images in plan.subsets():
        work = partial(
            _of_subset, plan, size, seed, images, truth, generated.at(torch.arange(size))
        )
        found = once(f"{size} images, seed {seed}", work)
        errors += found["errors"]
        gains += found["gains"]
    return EstimatorStudy(plan.times.tolist(), errors, gains)


def _of_subset(
    plan: EstimatorStudyPlan,
    size: int,
    seed: int,
    images: ConditionedImages,
    truth: Tensor,
    generated: ConditionedImages,
    progress: Progress,
) -> dict[str, Rows]:
    """What one repetition finds.

    Args:
        plan: of the whole study.
        size: number of images.
        seed: of the repetition.
        images: those images.
        truth: (T, *shape), the mean residual.
        generated: as many images of the network's own.
        progress: of this repetition.
    """
    errors, gains, of = [], [], {"images": size, "seed": seed}
    plan = replace(plan, progress=progress)
    measured = {}
    for name in NAMED:
        problem = _problem(plan, images, seed, name)
        measured[name] = full_pass(problem, NAMED[name], 1)
    for name, estimates in _estimates(problem, measured, seed).items():
        error = (estimates - truth).square().flatten(1).sum(1).log().mean().exp().item()
        spent = {"evaluations": size * len(plan.times)}
        errors.append({"estimator": name, "error": error} | of | spent)
    for name, (estimator, policy) in RECIPES.items():
        found = conclude(problem, measured[estimator.name], policy)
        gains.append({"recipe": name} | of | _gain(plan, found, seed, name))
    name = "certified, generated"
    problem = _problem(plan, generated, seed, name)
    found = conclude(problem, full_pass(problem, REGRESSION, 1), CERTIFIED)
    gains.append({"recipe": name} | of | _gain(plan, found, seed, name))
    return {"errors": errors, "gains": gains}


def _problem(plan: EstimatorStudyPlan, images: ConditionedImages, seed: int, name: str) -> Problem:
    of_name = replace(plan, progress=plan.progress.within(name))
    return of_name.problem(plan.checkpoint.network, images, seed, parts_of(0))


def _truth(plan: EstimatorStudyPlan) -> Tensor:
    """The mean residual (T, *shape) of all images, over very many draws."""
    problem = _problem(plan, plan.images, plan.seed, "truth")
    passed = full_pass(problem, RESIDUAL, plan.truth_draws)
    return torch.stack([moments.mean for moments in passed.measured.moments])


def _generated(plan: EstimatorStudyPlan) -> Tensor:
    """The network's own samples as it takes images, under the conditions of the images."""
    noise = latents(plan.checkpoint, max(plan.sizes), plan.seed).to(plan.device)
    conditions, codec = plan.images.conditions_in_turn(len(noise)), plan.checkpoint.codec
    images = sample(
        plan.checkpoint, plan.checkpoint.predict, noise, solver="ddim", nfe=plan.generated_nfe,
        condition=conditions,
    ).images  # fmt: skip
    if codec:
        parts = images.split(DEFAULT_BATCH)
        images = torch.cat([codec.encode(part.to(plan.device)).cpu() for part in parts])
    return images


def _estimates(problem: Problem, measured: dict[str, PassResult], seed: int) -> dict[str, Tensor]:
    """Estimates of every kind, (T, *shape), before any shrinking."""
    found = {name: conclude(problem, m, UNSHRUNK).shift for name, m in measured.items()}
    best = conclude(problem, measured[REGRESSION.name], UNSHRUNK)
    found["spline"] = conclude(problem, measured[REGRESSION.name], SMOOTHED).shift
    log_snr = problem.grid.log_snr
    found["network"] = fit_network(log_snr, best.shift, best.error_energy, seed)(log_snr)
    return found


def _gain(
    plan: EstimatorStudyPlan, calibration: Calibration, seed: int, name: str
) -> dict[str, float]:
    gain = validate(
        plan.checkpoint.predict, calibration, images=plan.held_out.images,
        conditions=plan.held_out.conditions, seed=seed,
        device=plan.device, on_progress=plan.on_progress, progress=plan.progress.within(name),
    ).bound_gain()  # fmt: skip
    return {"gain": gain.value, "gain_lower": gain.lower, "gain_upper": gain.upper}
