"""Repair a damaged network: calibrate it against the truth and against the original, and compare.

Against the truth the residual is y_theta - y with the known target y of every draw. Against the
original it is y_theta - y_original, which has none of the target's noise but takes two evaluations
a draw and cannot make the damaged network better than the original; it is given half the images.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from real.calibrated.conditions import Kind, of_images
from real.checkpoints.reloading import damaged
from real.compress import Damage
from real.experiments.published_corrections import Correct, calibrated, nothing
from real.families.checkpoint import Checkpoint
from real.images import ImageSource
from real.running import WithinMemory
from theory.calibration.procedure import calibrate
from theory.calibration.result import Calibration
from theory.diffusion.likelihood_bound import gain_weights
from theory.forward.forward_pass import observe
from theory.forward.images import DEFAULT_BATCH, Batch, Conditions, Images, batches
from theory.statistics.intervals import Estimate
from theory.statistics.shrinkage import CERTIFIED, Policy
from theory.support.errors import InputError

FULL, NONE, ORDER_0, ORDER_1 = "full precision", "damaged", "order 0", "order 1"
AGAINST_FULL = "against full precision"
TRUTH, ORIGINAL = "truth", "original"
AGAINST = (TRUTH, ORIGINAL)
"""What the calibration that is kept may be made against."""


@dataclass(frozen=True, eq=False)
class Repair:
    """A damaged network, what repairs it, and what held-out images say of that.

    Attributes:
        calibration: made against the truth.
        against_full: made against the original's predictions, at as many evaluations.
        kept: the one of the two that was asked for.
        losses: (n, T) squared error of each image and time, by name: ``FULL``, ``NONE`` ...
    """

    original: Checkpoint
    network: Checkpoint
    damage: Damage
    calibration: Calibration
    against_full: Calibration
    kept: Calibration
    losses: Mapping[str, Tensor]

    @property
    def images(self) -> int:
        """Number of held-out images."""
        return len(self.losses[NONE])

    def loss(self, name: str) -> list[Estimate]:
        """Denoising loss per time."""
        return [Estimate.of_mean(column) for column in self.losses[name].T]

    def above_full(self, name: str) -> Estimate:
        """By how much the likelihood bound lies above full precision's, in nats, paired."""
        c = self.calibration
        weights = gain_weights(c.schedule, c.target, c.times)
        return Estimate.of_mean((self.losses[name] - self.losses[FULL]) @ weights)


@dataclass(frozen=True)
class Settings:
    """How to calibrate, and which of the two calibrations to keep (one of ``AGAINST``).

    ``condition`` says whether each image goes with its own condition or with the null one.
    """

    times: Tensor
    order: int = 1
    policy: Policy = CERTIFIED
    against: str = TRUTH
    seed: int = 0
    draws: int = 1
    device: Any = None
    on_progress: Callable[[int], None] | None = None
    condition: Kind = "joint"

    def telling(self, on_progress: Callable[[int], None]) -> "Settings":
        """The same, which tells its progress."""
        return replace(self, on_progress=on_progress)


def evaluations(settings: Settings, images: int, held_out: int) -> int:
    """Network evaluations that are counted: those of a reference are not."""
    return len(settings.times) * settings.draws * (images + images // 2 + 2 * held_out)


def repair(
    original: Checkpoint,
    damage: Damage,
    images: ImageSource,
    held_out: ImageSource,
    settings: Settings,
) -> Repair:
    """Damage a network and calibrate it, each image under its condition.

    Raises:
        InputError: as ``damaged``, ``of_images`` and ``calibrate``, or fewer than two held-out
            images that are not among those to calibrate with.
    """
    conditions = of_images(original, held_out, settings.condition)
    original, network = _within_memory(original), _within_memory(damaged(original, damage))
    calibration = calibration_of(network, images, settings, data=images.name)
    against_full = calibration_of(
        network, images.every_other(0), settings, original, data=images.name
    )
    order_0 = replace(calibration, slopes=None, noise_energy=None)
    corrections = {NONE: nothing, ORDER_0: calibrated(order_0)}
    if settings.order:
        corrections[ORDER_1] = calibrated(calibration)
    corrections[AGAINST_FULL] = calibrated(against_full)
    unseen = Unseen(held_out, calibration.image_ids, conditions)
    losses = held_out_losses(original, {FULL: nothing}, unseen, settings)
    losses |= held_out_losses(network, corrections, unseen, settings)
    kept = calibration if settings.against == TRUTH else against_full
    return Repair(original, network, damage, calibration, against_full, kept, losses)


def _within_memory(network: Checkpoint) -> Checkpoint:
    return replace(network, predict=WithinMemory(network.predict))


def calibration_of(
    network: Checkpoint,
    images: ImageSource,
    settings: Settings,
    original: Checkpoint | None = None,
    **provenance: Any,
) -> Calibration:
    """The calibration of a network, against the truth or against its original.

    Raises:
        InputError: as ``of_images`` and ``calibrate``.
    """
    return calibrate(
        network.predict, network.schedule, target=network.target, images=images,
        conditions=of_images(network, images, settings.condition),
        times=settings.times, order=settings.order, policy=settings.policy, seed=settings.seed,
        draws=settings.draws, device=settings.device, on_progress=settings.on_progress,
        reference=original.predict if original else None, checkpoint=network.reference,
        fingerprint=network.fingerprint, condition=settings.condition, **provenance,
    )  # fmt: skip


def held_out_losses(
    network: Checkpoint,
    corrections: Mapping[str, Correct],
    images: Iterable[Batch],
    settings: Settings,
) -> dict[str, Tensor]:
    """Squared error (n, T) of each image and time under each correction, in one pass.

    The noise belongs to the seed and the image, so that losses of several networks are paired.
    """
    found: dict[str, list[list[Tensor]]] = {n: [[] for _ in settings.times] for n in corrections}
    for seen in observe(
        network.predict, network.schedule, network.target, images, settings.times,
        seed=settings.seed, purpose="validate", draws=settings.draws, device=settings.device,
        on_progress=settings.on_progress,
    ):  # fmt: skip
        t = settings.times[seen.time_index][None]
        target = seen.prediction - seen.error
        for name, correct in corrections.items():
            per_draw = [
                (correct(x_t, t, y) - truth).square().flatten(1).sum(1)
                for x_t, y, truth in zip(seen.x_t, seen.prediction, target, strict=True)
            ]
            found[name][seen.time_index].append(torch.stack(per_draw).mean(0).cpu())
    return {n: torch.stack([torch.cat(part) for part in parts], 1) for n, parts in found.items()}


class Unseen:
    """Batches of those images that a calibration was not made from; re-iterable."""

    def __init__(self, images: Images, seen: Tensor, conditions: Conditions | None = None) -> None:
        self.images, self.seen, self.conditions = images, seen, conditions

    def __iter__(self) -> Any:
        kept = 0
        for batch in batches(self.images, DEFAULT_BATCH, self.conditions):
            unseen = batch.select(~torch.isin(batch.ids, self.seen))
            kept += len(unseen)
            if len(unseen):
                yield unseen
        if kept < 2:
            raise InputError(
                f"images: expected at least two that the calibration has not seen, got {kept}"
            )
