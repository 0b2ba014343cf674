"""Study of repair: damaged networks under every correction, at equal network evaluations.

Each seed has its own calibration noise, its own held-out noise and its own samples; all corrections
of all networks share them. Whatever needs the full network's prediction as well, is given half the
images; training takes three evaluations an image.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor

from real.calibrated.conditions import ConditionedImages
from real.checkpoints.reloading import damaged
from real.compress import Damage
from real.experiments.bias_training import with_trained_biases
from real.experiments.published_corrections import (
    fit_epsilon_scaling,
    fit_mean_and_correlation,
    fit_timestep_aware_scale,
    measure_channels,
)
from real.experiments.study_plan import Rows, StudyPlan
from real.families.checkpoint import Checkpoint
from real.quality.measure import Reference
from real.solvers.sampling import latents, sample
from theory.calibration.held_out import Correction, hold_out
from theory.calibration.network import Calibrated
from theory.calibration.passes import full_pass
from theory.calibration.procedure import calibrate, conclude, parts_of
from theory.calibration.progress import Progress
from theory.diffusion.likelihood_bound import gain_weights
from theory.estimators.control_variates import PLAIN, REGRESSION, Estimator
from theory.forward.network import Network
from theory.forward.survey import survey
from theory.statistics.intervals import Estimate
from theory.statistics.shrinkage import CERTIFIED, SHRUNK, UNSHRUNK, Policy
from theory.support.errors import NonFiniteError

FULL = "full"
NETWORKS = {FULL: None, "int8": Damage("int8"), "int4": Damage("int4"), "int3": Damage("int3")}

NONE, PLAIN_AVERAGE, ORDER_0, ORDER_1 = "none", "plain average", "order 0", "order 1"
ORDER_1_SHRUNK = "order 1, shrunk"
AGAINST_FULL = "order 1 on full precision's predictions"
EPSILON, SCALE, PTQD, BIASES = "epsilon scaling", "timestep-aware scale", "PTQD", "biases trained"
MAIN = (NONE, PLAIN_AVERAGE, ORDER_0, ORDER_1)
"""What is sampled with every number of evaluations; the others only with ``RepairStudyPlan.compared``."""

COMPARED = 20
REPEATS = 15
TIMED_SAMPLES = 128
TIMED_NFE = 10


@dataclass(frozen=True, kw_only=True)
class RepairStudyPlan(StudyPlan):
    """How much the study does.

    Attributes:
        seeds: of the repetitions.
        nfe: numbers of network evaluations per sample.
        samples: how many, each time.
        solver: its name.
        few, few_seeds: number of images, and of random choices of them, to look for harm with.
    """

    seeds: tuple[int, ...]
    nfe: tuple[int, ...]
    samples: int
    solver: str
    few: int
    few_seeds: int

    @property
    def compared(self) -> int:
        """The evaluations at which all corrections are compared: ``COMPARED``, or else the most."""
        return COMPARED if COMPARED in self.nfe else max(self.nfe)

    def evaluations(self) -> int:
        """About how many network evaluations the study takes."""
        corrected, others = len(MAIN), 6
        per_image = len(self.times) * len(NETWORKS) * len(self.seeds)
        sampled = self.samples * len(NETWORKS) * len(self.seeds)
        of_few = self.few * self.few_seeds + len(self.held_out)
        return (
            per_image * (4 * len(self.images) + 2 * len(self.held_out))
            + sampled * (corrected * sum(self.nfe) + others * self.compared)
            + len(self.times) * len(NETWORKS) * of_few
        )


@dataclass(frozen=True)
class RepairStudy:
    """What was measured, as rows.

    Attributes:
        losses: network, seed, correction, the network evaluations that it took, held-out loss per
            time, by how much the bound lies above that of the full network, and its fall; nats,
            with intervals over images.
        samples: network, seed, correction, nfe, Frechet distance.
        few: network, policy, fall of the bound after few images.
        cost: as ``sampling_cost`` gives it.
    """

    losses: Rows
    samples: Rows
    few: Rows
    cost: dict[str, float]


@dataclass(frozen=True, eq=False)
class Contender:
    """A network with one correction.

    Attributes:
        network: the network, damaged or not.
        correction: what to subtract from its predictions; None for nothing.
        evaluations: how many network evaluations it took to make.
    """

    network: Checkpoint
    correction: Correction | None = None
    evaluations: int = 0

    def predict(self, x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        """The corrected prediction."""
        y = self.network.predict(x_t, t, condition)
        return y if self.correction is None else y - self.correction(x_t, t, y, condition)


def run_repair_study(plan: RepairStudyPlan, reference: Reference) -> RepairStudy:
    """Run the whole study; samples are compared with the reference."""
    losses: Rows = []
    samples: Rows = []
    few: Rows = []
    full: dict[int, Tensor] = {}
    once = plan.progress.once
    for name, damage in NETWORKS.items():
        network = plan.checkpoint if damage is None else damaged(plan.checkpoint, damage)
        for seed in plan.seeds:
            work = partial(_of_seed, plan, network, damage, seed, full.get(seed), reference)
            found = once(f"{name}, seed {seed}", work)
            full.setdefault(seed, found["bare"])
            of = {"network": name, "seed": seed}
            losses += [of | row for row in found["losses"]]
            samples += [of | row for row in found["samples"]]
        of_few = once(f"{name}, few", partial(_few, plan, network))
        few += [{"network": name} | row for row in of_few["rows"]]
    return RepairStudy(losses, samples, few, once("cost", lambda _: sampling_cost(plan)))


def _of_seed(
    plan: RepairStudyPlan,
    network: Checkpoint,
    damage: Damage | None,
    seed: int,
    full: Tensor | None,
    reference: Reference,
    progress: Progress,
) -> dict[str, Any]:
    """What a network and a seed find: rows of losses and of samples, and the losses as it is.

    Args:
        plan: of the whole study.
        network: damaged or not.
        damage: what was done to it.
        seed: of the repetition.
        full: losses of the full network; None if this is it.
        reference: what samples are compared with.
        progress: of this network and seed.
    """
    plan = replace(plan, progress=progress)
    contenders = _contenders(plan, network, damage, seed)
    found = _losses(plan, contenders, seed)
    bare = found[NONE]
    return {
        "losses": _loss_rows(plan, contenders, found, bare if full is None else full),
        "samples": _samples(plan, contenders, reference, seed),
        "bare": bare,
    }


def _contenders(
    plan: RepairStudyPlan, checkpoint: Checkpoint, damage: Damage | None, seed: int
) -> dict[str, Contender]:
    """A network under every correction, by name."""
    network, images, half = checkpoint.network, plan.images, plan.images.every_other()
    budget = len(images) * len(plan.times)
    plain = _corrections(plan, network, images, seed, PLAIN)
    regression = _corrections(plan, network, images, seed)
    measured = partial(
        measure_channels, times=plan.times, seed=seed, device=plan.device,
        on_progress=plan.on_progress,
    )  # fmt: skip
    scaling = fit_epsilon_scaling(measured(network, images))
    found = {
        NONE: Contender(checkpoint),
        PLAIN_AVERAGE: Contender(checkpoint, plain(UNSHRUNK, 0), budget),
        ORDER_0: Contender(checkpoint, regression(CERTIFIED, 0), budget),
        ORDER_1: Contender(checkpoint, regression(CERTIFIED, 1), budget),
        ORDER_1_SHRUNK: Contender(checkpoint, regression(SHRUNK, 1), budget),
        EPSILON: Contender(checkpoint, scaling.correction, budget),
    }
    if damage is None:
        return found
    toward_full = replace(network, reference=plan.checkpoint.predict)
    against = _corrections(plan, toward_full, half, seed)(CERTIFIED, 1)
    means = measured(toward_full, half)
    trained = with_trained_biases(
        damaged(plan.checkpoint, damage), images.to(plan.device), plan.times,
        evaluations=budget, seed=seed,
    )  # fmt: skip
    ptqd, scale = fit_mean_and_correlation(means), fit_timestep_aware_scale(means)
    return found | {
        AGAINST_FULL: Contender(checkpoint, against, means.evaluations),
        PTQD: Contender(checkpoint, ptqd.correction, means.evaluations),
        SCALE: Contender(checkpoint, scale.correction, means.evaluations),
        BIASES: Contender(trained, None, budget),
    }


def _corrections(
    plan: RepairStudyPlan,
    network: Network,
    images: ConditionedImages,
    seed: int,
    estimator: Estimator = REGRESSION,
) -> Callable[[Policy, int], Correction]:
    """The correction of every policy and order, from one pass."""
    of_estimator = replace(plan, progress=plan.progress.within(estimator.name))
    problem = of_estimator.problem(network, images, seed, parts_of(1))
    passed = full_pass(problem, estimator, 1)
    return lambda policy, order: (
        conclude(replace(problem, parts=parts_of(order)), passed, policy).correction
    )


def _losses(
    plan: RepairStudyPlan, contenders: Mapping[str, Contender], seed: int
) -> dict[str, Tensor]:
    """Held-out losses (n, T) of every contender; one pass for each network among them."""
    found: dict[str, Tensor] = {}
    units = survey(plan.held_out).units
    networks = {id(c.network): c.network for c in contenders.values()}.values()
    for k, network in enumerate(networks):
        own = {name: c.correction for name, c in contenders.items() if c.network is network}
        corrections = {name: correction for name, correction in own.items() if correction}
        judged = hold_out(
            network.network, corrections, plan.held_out, plan.times, seed=seed, units=units,
            device=plan.device, on_progress=plan.on_progress,
            progress=plan.progress.within(f"losses {k}"),
        )  # fmt: skip
        found |= {name: judged.losses - judged.gains.get(name, 0.0) for name in own}
    return found


def _loss_rows(
    plan: RepairStudyPlan,
    contenders: Mapping[str, Contender],
    found: Mapping[str, Tensor],
    full: Tensor,
) -> Rows:
    weights = gain_weights(plan.checkpoint.schedule, plan.checkpoint.target, plan.times)
    return [
        {
            "correction": name,
            "evaluations": contender.evaluations,
            "loss": found[name].mean(0).tolist(),
            "above_full": vars(Estimate.of_mean((found[name] - full) @ weights)),
            "fall": vars(Estimate.of_mean((found[NONE] - found[name]) @ weights)),
        }
        for name, contender in contenders.items()
    ]


def _samples(
    plan: RepairStudyPlan, contenders: Mapping[str, Contender], reference: Reference, seed: int
) -> Rows:
    return [
        {
            "correction": name,
            "nfe": nfe,
            "frechet": sampled_distance(plan, contenders[name], reference, nfe, seed),
        }
        for nfe in plan.nfe
        for name in (contenders if nfe == plan.compared else MAIN)
    ]


def sampled_distance(
    plan: RepairStudyPlan, contender: Contender, reference: Reference, nfe: int, seed: int
) -> float:
    """Frechet distance of a contender's samples; infinity where they diverge.

    Args:
        plan: solver, and how many samples.
        contender: what is sampled.
        reference: what the samples are compared with.
        nfe: network evaluations per sample.
        seed: of the noise that they start from.
    """
    noise = latents(plan.checkpoint, plan.samples, seed).to(plan.device)
    try:
        drawn = sample(
            plan.checkpoint, contender.predict, noise, solver=plan.solver, nfe=nfe, seed=seed,
            condition=plan.held_out.conditions_in_turn(len(noise)), on_progress=plan.on_progress,
        )  # fmt: skip
    except NonFiniteError:
        return math.inf
    return reference.against(drawn.images, seed, len(drawn.images))["frechet"]


def _few(plan: RepairStudyPlan, checkpoint: Checkpoint, progress: Progress) -> dict[str, Rows]:
    """Held-out fall of the bound after calibration of order 1 on few images, over seeds."""
    plan = replace(plan, progress=progress)
    contenders = {NONE: Contender(checkpoint)}
    for seed in range(plan.few_seeds):
        made = _corrections(plan, checkpoint.network, plan.chosen_images(plan.few, seed), seed)
        for name, policy in (("certified", CERTIFIED), ("shrunk", SHRUNK)):
            contenders[f"{name} {seed}"] = Contender(checkpoint, made(policy, 1))
    found = _losses(plan, contenders, plan.seeds[0])
    rows = _loss_rows(plan, contenders, found, found[NONE])
    falls = [
        {"policy": row["correction"].split()[0], "fall": row["fall"]}
        for row in rows
        if row["correction"] != NONE
    ]
    return {"rows": falls}


def sampling_cost(plan: RepairStudyPlan) -> dict[str, float]:
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
                condition=plan.held_out.conditions_in_turn(len(noise)),
            )  # fmt: skip
            taken.append(time.process_time() - start)
    plain, corrected = taken[::2], taken[1::2]
    ratios = [c / p for p, c in zip(plain, corrected, strict=True)]
    return seconds | {
        "sample": statistics.median(plain),
        "sample_order_1": statistics.median(corrected),
        "ratio": statistics.median(ratios),
    }
