"""Study of repair: damaged networks under every correction, at equal network evaluations.

Each seed has its own calibration noise, its own held-out noise and its own samples; all corrections
of all networks share them. Whatever needs the full network's prediction as well, is given half the
images; training takes three evaluations an image.
"""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from real.calibrated.conditions import Conditioned
from real.calibrated.repair import Settings, held_out_losses
from real.checkpoints.reloading import damaged
from real.compress import Damage
from real.experiments import published_corrections as corrections
from real.experiments.bias_training import with_trained_biases
from real.experiments.published_corrections import Correct, Corrected, calibrated, nothing
from real.families.checkpoint import Checkpoint
from real.quality.measure import Reference
from real.solvers.sampling import latents, sample
from theory.calibration.passes import over_all
from theory.calibration.procedure import Calibrated, Calibration, calibrate, conclude, prepare
from theory.diffusion.likelihood_bound import gain_weights
from theory.estimators.control_variates import PLAIN, REGRESSION, Estimator
from theory.forward.forward_pass import Predict
from theory.statistics.intervals import Estimate
from theory.statistics.shrinkage import CERTIFIED, PUBLISHED, SHRUNK, Policy
from theory.support.errors import NonFiniteError

FULL = "full"
NETWORKS = {FULL: None, "int8": Damage("int8"), "int4": Damage("int4"), "int3": Damage("int3")}

NONE, PLAIN_AVERAGE, ORDER_0, ORDER_1 = "none", "plain average", "order 0", "order 1"
ORDER_1_SHRUNK = "order 1, shrunk"
AGAINST_FULL = "order 1, against full"
EPSILON, SCALE, PTQD, BIASES = "epsilon scaling", "timestep-aware scale", "PTQD", "biases trained"
MAIN = (NONE, PLAIN_AVERAGE, ORDER_0, ORDER_1)
"""What is sampled with every number of evaluations; the others only with ``COMPARED``."""

COMPARED = 20
REPEATS = 15
TIMED_SAMPLES = 128
TIMED_NFE = 10

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """A checkpoint with its images, and how much to do.

    Attributes:
        few: so many images, in ``few_seeds`` random choices, are looked at for harm.
    """

    checkpoint: Checkpoint
    images: Conditioned
    held_out: Conditioned
    times: Tensor
    seeds: tuple[int, ...]
    nfe: tuple[int, ...]
    samples: int
    solver: str
    few: int
    few_seeds: int
    device: Any = None
    on_progress: Callable[[int], None] | None = None


@dataclass(frozen=True)
class Study:
    """What was measured, as rows.

    losses: network, seed, correction, the network evaluations that it took, held-out loss per time,
        by how much the bound lies above that of the full network, and its fall; nats, with
        intervals over images.
    samples: network, seed, correction, nfe, Frechet distance.
    few: network, policy, fall of the bound after few images.
    cost: as ``cost`` gives it.
    """

    losses: Rows
    samples: Rows
    few: Rows
    cost: dict[str, float]


@dataclass(frozen=True, eq=False)
class Recipe:
    """One correction of one network, and how many network evaluations it took to make."""

    network: Checkpoint
    correct: Correct
    evaluations: int

    @property
    def predict(self) -> Predict:
        """The corrected network."""
        return Corrected(self.network.predict, self.correct)


def evaluations(plan: Plan) -> int:
    """About how many network evaluations the study takes."""
    corrected, others = len(MAIN), 6
    per_image = len(plan.times) * len(NETWORKS) * len(plan.seeds)
    sampled = plan.samples * len(NETWORKS) * len(plan.seeds)
    of_few = plan.few * plan.few_seeds + len(plan.held_out)
    return (
        per_image * (4 * len(plan.images) + 2 * len(plan.held_out))
        + sampled * (corrected * sum(plan.nfe) + others * COMPARED)
        + len(plan.times) * len(NETWORKS) * of_few
    )


def study(plan: Plan, reference: Reference) -> Study:
    """Run the whole study."""
    losses: Rows = []
    samples: Rows = []
    few: Rows = []
    full: dict[int, Tensor] = {}
    for name, damage in NETWORKS.items():
        network = plan.checkpoint if damage is None else damaged(plan.checkpoint, damage)
        for seed in plan.seeds:
            recipes = _recipes(plan, network, damage, seed)
            found = _losses(plan, recipes, seed)
            full.setdefault(seed, found[NONE])
            of = {"network": name, "seed": seed}
            losses += [of | row for row in _loss_rows(plan, recipes, found, full[seed])]
            samples += [of | row for row in _samples(plan, recipes, reference, seed)]
        few += [{"network": name} | row for row in _few(plan, network)]
    return Study(losses, samples, few, cost(plan))


def _recipes(
    plan: Plan, network: Checkpoint, damage: Damage | None, seed: int
) -> dict[str, Recipe]:
    images, half = plan.images, plan.images.every_other()
    budget = len(images) * len(plan.times)
    plain = _measured(plan, network, images, seed, PLAIN)
    measured = _measured(plan, network, images, seed)
    known = _sums(plan, network, images, seed)
    found = {
        NONE: Recipe(network, nothing, 0),
        PLAIN_AVERAGE: Recipe(network, calibrated(plain(PUBLISHED, 0)), budget),
        ORDER_0: Recipe(network, calibrated(measured(CERTIFIED, 0)), budget),
        ORDER_1: Recipe(network, calibrated(measured(CERTIFIED, 1)), budget),
        ORDER_1_SHRUNK: Recipe(network, calibrated(measured(SHRUNK, 1)), budget),
        EPSILON: Recipe(network, corrections.epsilon_scaling(known), budget),
    }
    if damage is None:
        return found
    full = plan.checkpoint.predict
    against = _measured(plan, network, half, seed, REGRESSION, full)(CERTIFIED, 1)
    sums = _sums(plan, network, half, seed, full)
    trained = with_trained_biases(
        damaged(plan.checkpoint, damage), images.images.to(plan.device), plan.times,
        evaluations=budget, seed=seed, conditions=images.conditions,
    )  # fmt: skip
    return found | {
        AGAINST_FULL: Recipe(network, calibrated(against), sums.evaluations),
        PTQD: Recipe(network, corrections.mean_and_correlation(sums), sums.evaluations),
        SCALE: Recipe(network, corrections.timestep_aware_scale(sums), sums.evaluations),
        BIASES: Recipe(trained, nothing, budget),
    }


def _measured(
    plan: Plan,
    network: Checkpoint,
    images: Conditioned,
    seed: int,
    estimator: Estimator = REGRESSION,
    reference: Predict | None = None,
) -> Callable[[Policy, int], Calibration]:
    """One pass, from which the calibration of every policy and order is made."""
    setup = prepare(
        network.predict, network.schedule, network.target, images.images, plan.times, seed=seed,
        conditions=images.conditions, order=1, reference=reference,
        device=plan.device, on_progress=plan.on_progress,
    )  # fmt: skip
    measured = over_all(setup, estimator, 1)

    def made(policy: Policy, order: int) -> Calibration:
        affine = measured.affine if order else []
        return conclude(replace(setup, order=order), replace(measured, affine=affine), policy)

    return made


def _sums(
    plan: Plan,
    network: Checkpoint,
    images: Conditioned,
    seed: int,
    reference: Predict | None = None,
) -> corrections.Sums:
    return corrections.measure(
        network.predict, network.schedule, network.target, images.images, plan.times, seed=seed,
        conditions=images.conditions, reference=reference, device=plan.device, on_progress=plan.on_progress,
    )  # fmt: skip


def _losses(plan: Plan, recipes: dict[str, Recipe], seed: int) -> dict[str, Tensor]:
    """Held-out losses (n, T) of every recipe; one pass for each network among them."""
    settings = Settings(plan.times, seed=seed, device=plan.device, on_progress=plan.on_progress)
    found: dict[str, Tensor] = {}
    for network in {id(r.network): r.network for r in recipes.values()}.values():
        own = {name: r.correct for name, r in recipes.items() if r.network is network}
        found |= held_out_losses(network, own, plan.held_out.batches(), settings)
    return found


def _loss_rows(
    plan: Plan, recipes: dict[str, Recipe], found: dict[str, Tensor], full: Tensor
) -> Rows:
    weights = gain_weights(plan.checkpoint.schedule, plan.checkpoint.target, plan.times)
    return [
        {
            "correction": name,
            "evaluations": recipe.evaluations,
            "loss": found[name].mean(0).tolist(),
            "above_full": vars(Estimate.of_mean((found[name] - full) @ weights)),
            "fall": vars(Estimate.of_mean((found[NONE] - found[name]) @ weights)),
        }
        for name, recipe in recipes.items()
    ]


def _samples(plan: Plan, recipes: dict[str, Recipe], reference: Reference, seed: int) -> Rows:
    noise = latents(plan.checkpoint, plan.samples, seed).to(plan.device)
    rows = []
    for nfe in plan.nfe:
        for name in recipes if nfe == COMPARED else MAIN:
            distance = distance_of(plan, recipes[name], reference, noise, nfe, seed)
            rows.append({"correction": name, "nfe": nfe, "frechet": distance})
    return rows


def distance_of(
    plan: Plan, recipe: Recipe, reference: Reference, noise: Tensor, nfe: int, seed: int
) -> float:
    """Frechet distance of samples from this noise; infinity where they diverge."""
    try:
        drawn = sample(
            plan.checkpoint, recipe.predict, noise, solver=plan.solver, nfe=nfe, seed=seed,
            condition=plan.held_out.in_turn(len(noise)), on_progress=plan.on_progress,
        )  # fmt: skip
    except NonFiniteError:
        return math.inf
    return reference.against(drawn.images, seed, len(drawn.images))["frechet"]


def _few(plan: Plan, network: Checkpoint) -> Rows:
    """Held-out fall of the bound after calibration of order 1 on few images, over seeds."""
    corrects: dict[str, Correct] = {NONE: nothing}
    for seed in range(plan.few_seeds):
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(plan.images), generator=generator)[: plan.few]
        made = _measured(plan, network, plan.images.at(chosen), seed)
        for name, policy in (("certified", CERTIFIED), ("shrunk", SHRUNK)):
            corrects[f"{name} {seed}"] = calibrated(made(policy, 1))
    recipes = {name: Recipe(network, correct, 0) for name, correct in corrects.items()}
    found = _losses(plan, recipes, plan.seeds[0])
    rows = _loss_rows(plan, recipes, found, found[NONE])
    return [
        {"policy": row["correction"].split()[0], "fall": row["fall"]}
        for row in rows
        if row["correction"] != NONE
    ]


def cost(plan: Plan) -> dict[str, float]:
    """Processor seconds of sampling without and with order 1, and of making either order.

    Sampling takes turns; the ratio is the median of the ratios of neighbours.
    """
    network = damaged(plan.checkpoint, Damage("int4"))
    seconds = {}
    for order in (0, 1):
        start = time.process_time()
        made = calibrate(
            network.predict, network.schedule, target=network.target, images=plan.images.images,
            conditions=plan.images.conditions, times=plan.times, order=order, device=plan.device,
        )  # fmt: skip
        seconds[f"calibrate_order_{order}"] = time.process_time() - start
    noise = latents(plan.checkpoint, TIMED_SAMPLES, 0).to(plan.device)
    taken = []
    for _ in range(REPEATS):
        for predict in (network.predict, Calibrated(network.predict, made)):
            start = time.process_time()
            sample(
                plan.checkpoint, predict, noise, solver=plan.solver, nfe=TIMED_NFE,
                condition=plan.held_out.in_turn(len(noise)),
            )  # fmt: skip
            taken.append(time.process_time() - start)
    plain, corrected = taken[::2], taken[1::2]
    ratios = [c / p for p, c in zip(plain, corrected, strict=True)]
    return seconds | {
        "sample": statistics.median(plain),
        "sample_order_1": statistics.median(corrected),
        "ratio": statistics.median(ratios),
    }
