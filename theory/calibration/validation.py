"""Held-out proof of a calibration: paired draws on images that it was not made from.

One pass gives the fall of the denoising loss (``theory.calibration.held_out``). The image is the
statistical unit, and intervals are taken over images.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from theory.calibration.arguments import as_device
from theory.calibration.description import description_warning
from theory.calibration.held_out import Correction, hold_out
from theory.calibration.passes import pass_name
from theory.calibration.progress import Progress
from theory.calibration.result import Calibration, as_calibration
from theory.calibration.verdict import Verdict, verdict_on
from theory.diffusion.likelihood_bound import gain_weights
from theory.estimators.line_check import LineComparison
from theory.forward.images import DEFAULT_BATCH, Conditions, Images, ImageSet, Unseen
from theory.forward.network import Network, Predict
from theory.forward.survey import survey
from theory.statistics.intervals import LEVEL, Estimate

CLIPPED, SHIFT, WHOLE = "clipped", "shift", "whole"
"""Clipping alone, the constant shift without other parts, and all parts of a calibration."""


@dataclass(frozen=True, eq=False, repr=False)
class Validation:
    """What held-out images say of a calibration, per image and time, in the network's own target.

    Attributes:
        calibration: what was validated.
        losses: (n, T), |y_theta - y|^2 without calibration, mean over draws; under an exact certificate
            of predictions that are clipped without calibration, too.
        gains: (n, T), how much the calibration takes off it.
        shift_gains: (n, T), how much its shift alone does: the same at order 0.
        clipping_gains: (n, T), how much clipping alone does; zero without an exact certificate.
        eta_sq: unbiased |eta_t|^2 of the network without calibration, one per time.
        line_check: the network's errors beside those of the best line in x_t, one per time.
        left_out: how many of the images given were left out, as the calibration had seen them.
        units: (n,), which of the images are copies of each other or belong together.
    """

    calibration: Calibration
    losses: Float64[Tensor, "image time"]
    gains: Float64[Tensor, "image time"]
    shift_gains: Float64[Tensor, "image time"]
    clipping_gains: Float64[Tensor, "image time"]
    eta_sq: tuple[Estimate, ...]
    line_check: tuple[LineComparison, ...]
    left_out: int
    units: Int64[Tensor, "image"]

    @property
    def n(self) -> int:
        """Number of held-out images."""
        return len(self.losses)

    @property
    def independent(self) -> int:
        """Number of units: copies, and what belongs together, count once."""
        return len(self.units.unique())

    def __repr__(self) -> str:
        gain = self.bound_gain()
        rows = [
            f"Validation on {self.n} held-out images at {len(self.calibration.times)} times",
            f"  fall of the likelihood bound: {gain.value:.4g} nats "
            f"({gain.lower:.4g} to {gain.upper:.4g}, 95 %)",
            *([f"  warning: {text}"] if (text := self.warning()) else []),
        ]
        return "\n".join(rows)

    def warning(self) -> str | None:
        """One line if the network does not fit its description on these images; None if it does."""
        c = self.calibration
        return description_warning(
            c.grid, c.target, self.line_check, self.eta_sq, math.prod(c.shape), c.doubts
        )

    @property
    def applied(self) -> int:
        """At how many times anything is subtracted."""
        c = self.calibration
        return int(torch.stack([c.applied(part) for part in c.parts]).any(0).sum())

    def verdict(self) -> Verdict:
        """One sentence: what the calibration does, how sure that is, and whether to use it."""
        return verdict_on(
            self.bound_gain(), self.gain_at_once(), self.applied, self.independent, self.warning(),
            self.calibration.grid.widest_gap,
        )  # fmt: skip

    def gain_at_once(self) -> list[Estimate]:
        """``gain`` with intervals that hold together over the times, by Bonferroni."""
        level = 1 - (1 - LEVEL) / len(self.calibration.times)
        return [Estimate.of_mean(column, self.units, level) for column in self.gains.T]

    def loss(self) -> list[Estimate]:
        """Denoising loss without calibration, per time."""
        return [Estimate.of_mean(column, self.units) for column in self.losses.T]

    def gain(self) -> list[Estimate]:
        """Fall of the denoising loss, per time; negative where the calibration harms."""
        return [Estimate.of_mean(column, self.units) for column in self.gains.T]

    def bound_gain(self) -> Estimate:
        """Fall of the likelihood bound in nats: 0.5 int gain |d lambda| over the calibrated times.

        The gain is taken in noise form; the interval is over images, so it knows that one image's
        gains at different times belong together.
        """
        return Estimate.of_mean(self.gains @ self._nats(), self.units)

    def shift_bound_gain(self) -> Estimate:
        """The same of the shift alone, without what order 1 adds."""
        return Estimate.of_mean(self.shift_gains @ self._nats(), self.units)

    def clipping_bound_gain(self) -> Estimate:
        """The same of clipping alone, which counts neither for the calibration nor for its shift."""
        return Estimate.of_mean(self.clipping_gains @ self._nats(), self.units)

    def _nats(self) -> Tensor:
        c = self.calibration
        return gain_weights(c.schedule, c.target, c.times)


def validate(
    predict: Predict,
    calibration: Calibration | Path | str,
    *,
    images: Images,
    conditions: Conditions | None = None,
    groups: Sequence[Any] | Tensor | None = None,
    seed: int = 0,
    draws: int = 1,
    batch_size: int = DEFAULT_BATCH,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
    progress: Progress | None = None,
) -> Validation:
    """Measure a calibration on images that it was not made from; those it was are left out.

    Args:
        predict: the network without calibration.
        calibration: what is validated, or the file that holds it.
        images, conditions, groups, seed, draws, batch_size, device, on_progress, progress: as for
            ``calibrate``; the noise is independent of the calibration's even with the same seed.

    Raises:
        InputError: fewer than two images remain; images or predictions that ``calibrate`` refuses.
    """
    calibration = as_calibration(calibration)
    network = Network(predict, calibration.schedule, calibration.target)
    images = list(images) if isinstance(images, Iterator) else images  # they are read twice
    held_out = Unseen(
        ImageSet(images, conditions, batch_size, groups), calibration.image_ids, calibration.shape
    )
    look = survey(held_out)
    corrections: dict[str, Correction] = {SHIFT: calibration.shift_alone().correction}
    if len(calibration.parts) > 1:
        corrections[WHOLE] = calibration.correction
    if calibration.exact is not None:
        corrections[CLIPPED] = calibration.clipping
    found = hold_out(
        network, corrections, held_out, calibration.times, seed=seed, draws=draws,
        mean_image=calibration.mean_image, device=as_device(device), on_progress=on_progress,
        units=look.units,
        progress=(progress or Progress()).within(
            pass_name(conditions, look, calibration.times, seed, draws)
        ),
    )  # fmt: skip
    clipping = found.gains.get(CLIPPED, torch.zeros_like(found.losses))
    applied = torch.stack([calibration.applied(part) for part in calibration.parts]).any(0)
    gains = {name: torch.where(applied, g - clipping, 0.0) for name, g in found.gains.items()}
    return Validation(
        calibration=calibration,
        losses=found.losses - clipping,
        gains=gains.get(WHOLE, gains[SHIFT]),
        shift_gains=gains[SHIFT],
        clipping_gains=clipping,
        eta_sq=found.eta_sq,
        line_check=found.line_check,
        left_out=held_out.left_out,
        units=look.units,
    )
