"""Repair a damaged network: calibrate it against the truth and against the original, and compare.

Against the truth the residual is y_theta - y with the known target y of every draw. Against the
original it is y_theta - y_original, which has none of the target's noise but takes two evaluations
a draw and cannot make the damaged network better than the original; it is given half the images.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from torch import Tensor

from real.calibrated.calibrate import calibrate_checkpoint
from real.calibrated.conditions import ConditionKind, of_images
from real.checkpoints.reloading import damaged
from real.compress import Damage
from real.families.checkpoint import Checkpoint
from real.images.base import ImageSource
from real.running import WithinMemory
from theory.calibration.held_out import hold_out
from theory.calibration.progress import Progress
from theory.calibration.result import Calibration
from theory.diffusion.likelihood_bound import gain_weights
from theory.forward.images import ImageSet, Unseen
from theory.forward.network import Predict
from theory.forward.survey import survey
from theory.statistics.intervals import Estimate
from theory.statistics.shrinkage import CERTIFIED, Policy

FULL, NONE, ORDER_0, ORDER_1 = "full precision", "damaged", "order 0", "order 1"
AGAINST_FULL = "calibrated on full precision's predictions"
TRUTH, ORIGINAL = "truth", "original"
AGAINST = (TRUTH, ORIGINAL)
"""What the calibration that is kept may be made against."""


@dataclass(frozen=True, eq=False)
class Repair:
    """A damaged network, its calibrations, and their losses on held-out images.

    Attributes:
        original: the network in full precision.
        network: what the damage made of it.
        damage: what was done to its weights.
        calibration: made against the truth.
        against_full: made against the original's predictions, at as many evaluations.
        kept: the one of the two that the settings ask for.
        units: (n,), which of the held-out images are copies or belong together.
        losses: (n, T) squared error of each image and time, by name: ``FULL``, ``NONE`` ...
    """

    original: Checkpoint
    network: Checkpoint
    damage: Damage
    calibration: Calibration
    against_full: Calibration
    kept: Calibration
    losses: Mapping[str, Tensor]
    units: Tensor

    def loss(self, name: str) -> list[Estimate]:
        """Denoising loss per time."""
        return [Estimate.of_mean(column, self.units) for column in self.losses[name].T]

    def above_full(self, name: str) -> Estimate:
        """By how much the likelihood bound lies above full precision's, in nats, paired."""
        c = self.calibration
        weights = gain_weights(c.schedule, c.target, c.times)
        return Estimate.of_mean((self.losses[name] - self.losses[FULL]) @ weights, self.units)


@dataclass(frozen=True)
class RepairSettings:
    """How to calibrate, and which of the two calibrations to keep.

    Attributes:
        times: (T,), times of the network's schedule.
        order: 0 subtracts a constant, 1 also what is affine in x_t and the prediction.
        policy: how much of an estimate is applied.
        against: which calibration is kept, one of ``AGAINST``.
        seed, draws: key of the noise, and noise draws per image and time.
        device: where the networks run.
        on_progress: called with the number of network evaluations after each call.
        condition: whether each image goes with its own condition or with the null one.
        progress: how far the repair has come.
    """

    times: Tensor
    order: int = 1
    policy: Policy = CERTIFIED
    against: str = TRUTH
    seed: int = 0
    draws: int = 1
    device: Any = None
    on_progress: Callable[[int], None] | None = None
    condition: ConditionKind = "joint"
    progress: Progress = field(default_factory=Progress)

    def evaluations(self, images: int, held_out: int) -> int:
        """Network evaluations that are counted: those of a reference are not."""
        return len(self.times) * self.draws * (images + images // 2 + 2 * held_out)


def repair(
    original: Checkpoint,
    damage: Damage,
    images: ImageSource,
    held_out: ImageSource,
    settings: RepairSettings,
) -> Repair:
    """Damage a network and calibrate it, each image under its condition.

    Args:
        original: the network in full precision.
        damage: what is done to its weights.
        images: to calibrate with.
        held_out: to compare with; those among ``images`` are left out.
        settings: how to calibrate.

    Raises:
        InputError: as ``damaged``, ``of_images`` and ``calibrate``, or fewer than two held-out
            images that are not among those to calibrate with.
    """
    conditions = of_images(original, held_out, settings.condition)
    original, network = _within_memory(original), _within_memory(damaged(original, damage))
    calibration = _calibration(network, images, settings)
    toward_full = replace(settings, progress=settings.progress.within(ORIGINAL))
    against_full = _calibration(network, images.every_other(0), toward_full, original.predict)
    corrections = {
        ORDER_0: calibration.shift_alone().correction,
        ORDER_1: calibration.correction,
        AGAINST_FULL: against_full.correction,
    }
    if not settings.order:
        del corrections[ORDER_1]
    unseen = Unseen(ImageSet(held_out, conditions), calibration.image_ids, calibration.shape)
    look = survey(unseen)
    judge = partial(
        hold_out, images=unseen, units=look.units,
        times=settings.times, seed=settings.seed, draws=settings.draws, device=settings.device,
        on_progress=settings.on_progress,
    )  # fmt: skip
    full = judge(original.network, {}, progress=settings.progress.within(FULL))
    found = judge(network.network, corrections, progress=settings.progress.within(NONE))
    losses = {FULL: full.losses, NONE: found.losses} | {
        name: found.losses - gains for name, gains in found.gains.items()
    }
    kept = calibration if settings.against == TRUTH else against_full
    return Repair(original, network, damage, calibration, against_full, kept, losses, look.units)


def _within_memory(network: Checkpoint) -> Checkpoint:
    return replace(network, predict=WithinMemory(network.predict))


def _calibration(
    network: Checkpoint,
    images: ImageSource,
    settings: RepairSettings,
    reference: Predict | None = None,
) -> Calibration:
    """Against the truth, or against the predictions of a reference."""
    return calibrate_checkpoint(
        network, images, settings.times,
        conditions=of_images(network, images, settings.condition), reference=reference,
        order=settings.order, policy=settings.policy, seed=settings.seed, draws=settings.draws,
        device=settings.device, on_progress=settings.on_progress, progress=settings.progress,
        provenance={"condition": settings.condition},
    )  # fmt: skip
