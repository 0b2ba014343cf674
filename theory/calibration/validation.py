"""Held-out proof of a calibration: paired draws on images that it has never seen.

With r = y_theta - y the residual of a draw and c the correction, a constant shift or affine in x_t
and y_theta,

    |r|^2 - |r - c|^2 = 2 c.r - |c|^2,

so one pass gives the fall of the denoising loss with little variance. The image is the statistical
unit: draws on one image are averaged first, and intervals are taken over images.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.calibration.procedure import Calibration
from theory.diffusion.likelihood_bound import gain_weights
from theory.forward.forward_pass import GROUPS, Observation, Predict, observe, require_key
from theory.forward.images import DEFAULT_BATCH, Batch, Conditions, Images, batches
from theory.statistics.intervals import Estimate
from theory.statistics.moments import Moments
from theory.support.broadcasting import dot
from theory.support.errors import InputError


@dataclass(frozen=True, eq=False)
class Validation:
    """What held-out images say of a calibration, per image and time, in the network's own target.

    Attributes:
        calibration: what was validated.
        losses: (n, T), |y_theta - y|^2 without calibration, mean over draws.
        gains: (n, T), how much the calibration takes off it.
        shift_gains: (n, T), how much its shift alone does: the same at order 0.
        eta_sq: unbiased |eta_t|^2 of the network without calibration, one per time.
        left_out: how many of the images given were left out, as the calibration had seen them.
    """

    calibration: Calibration
    losses: Float64[Tensor, "image time"]
    gains: Float64[Tensor, "image time"]
    shift_gains: Float64[Tensor, "image time"]
    eta_sq: tuple[Estimate, ...]
    left_out: int

    @property
    def n(self) -> int:
        """Number of held-out images."""
        return len(self.losses)

    def loss(self) -> list[Estimate]:
        """Denoising loss without calibration, per time."""
        return [Estimate.of_mean(column) for column in self.losses.T]

    def gain(self) -> list[Estimate]:
        """Fall of the denoising loss, per time; negative where the calibration harms."""
        return [Estimate.of_mean(column) for column in self.gains.T]

    def bound_gain(self) -> Estimate:
        """Fall of the likelihood bound in nats: 0.5 int gain |d lambda| over the calibrated times.

        The gain is taken in noise form; the interval is over images, so it knows that one image's
        gains at different times belong together.
        """
        return Estimate.of_mean(self.gains @ self._nats())

    def shift_bound_gain(self) -> Estimate:
        """The same of the shift alone, without what order 1 adds."""
        return Estimate.of_mean(self.shift_gains @ self._nats())

    def _nats(self) -> Tensor:
        c = self.calibration
        return gain_weights(c.schedule, c.target, c.times)


def validate(
    predict: Predict,
    calibration: Calibration,
    *,
    images: Images,
    conditions: Conditions | None = None,
    seed: int = 0,
    draws: int = 1,
    batch_size: int = DEFAULT_BATCH,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
) -> Validation:
    """Measure a calibration on images that it was not made from; those it was are left out.

    Args:
        predict: the network without calibration.
        images, conditions, seed, draws, batch_size, device, on_progress: as for ``calibrate``; the noise is
            independent of the calibration's even with the same seed.

    Raises:
        InputError: fewer than two images remain; images or predictions that ``calibrate`` refuses.
    """
    require_key(seed, draws)
    held_out = _Unseen(images, conditions, calibration, batch_size)
    losses: list[list[Tensor]] = [[] for _ in calibration.times]
    gains: list[list[Tensor]] = [[] for _ in calibration.times]
    shift_gains: list[list[Tensor]] = [[] for _ in calibration.times]
    moments = [Moments.empty(calibration.shape, GROUPS) for _ in calibration.times]
    for seen in observe(
        predict, calibration.schedule, calibration.target, held_out, calibration.times,
        seed=seed, purpose="validate", draws=draws, device=device, on_progress=on_progress,
    ):  # fmt: skip
        k, residual = seen.time_index, seen.residual
        unit = residual.mean(0)
        shift = calibration.shift[seen.time_index].to(unit)
        losses[k].append(residual.square().flatten(2).sum(2).mean(0))
        shift_gains[k].append(2 * dot(unit, shift) - shift.square().sum())
        gains[k].append(shift_gains[k][-1] if calibration.is_shift else _gain(calibration, seen))
        moments[k] = moments[k].to(unit.device)
        moments[k].add_(seen.group, unit)
    return Validation(
        calibration=calibration,
        losses=torch.stack([torch.cat(column) for column in losses], 1).cpu(),
        gains=torch.stack([torch.cat(column) for column in gains], 1).cpu(),
        shift_gains=torch.stack([torch.cat(column) for column in shift_gains], 1).cpu(),
        eta_sq=tuple(m.to("cpu").squared_norm() for m in moments),
        left_out=held_out.left_out,
    )


def _gain(calibration: Calibration, seen: Observation) -> Float64[Tensor, "b"]:
    """2 c.r - |c|^2 of each image, mean over its draws."""
    t = calibration.times[seen.time_index][None]
    falls = []
    for x_t, y, residual in zip(seen.x_t, seen.prediction, seen.residual, strict=True):
        correction = calibration.correction(x_t, t, y, seen.conditions).expand_as(y)
        falls.append((2 * correction * residual - correction**2).flatten(1).sum(1))
    return torch.stack(falls).mean(0)


class _Unseen:
    """The images that a calibration has not seen, in batches; counts those it leaves out."""

    def __init__(
        self,
        images: Images,
        conditions: Conditions | None,
        calibration: Calibration,
        batch_size: int,
    ) -> None:
        self.images, self.conditions = images, conditions
        self.calibration, self.batch_size = calibration, batch_size
        self.left_out = 0

    def __iter__(self) -> Iterator[Batch]:
        self.left_out, kept = 0, 0
        for batch in batches(self.images, self.batch_size, self.conditions):
            if tuple(batch.images.shape[1:]) != self.calibration.shape:
                raise InputError(
                    f"images: expected shape {self.calibration.shape}, got {tuple(batch.images.shape[1:])}"
                )
            seen = torch.isin(batch.ids, self.calibration.image_ids)
            self.left_out += int(seen.sum())
            unseen = batch.select(~seen)
            kept += len(unseen)
            if len(unseen):
                yield unseen
        if kept < 2:
            raise InputError(
                f"images: expected at least two that the calibration has not seen, got {kept} "
                f"({self.left_out} were used to make it)"
            )
