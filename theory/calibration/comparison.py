"""Two networks of one target on the same images and the same noise: which predicts better, and where.

With r_A and r_B the residuals y_theta - y of one draw,

    |r_B|^2 - |r_A|^2 = 2 (y_B - y_A).r_A + |y_B - y_A|^2,

in which most of the noise of either loss is gone. The image is the statistical unit: draws on one image
are averaged first, and images that are copies or belong together count once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float64, Int64, Real
from torch import Tensor

from theory.calibration.arguments import as_device, as_schedule_times
from theory.calibration.description import description_warning
from theory.calibration.held_out import HeldOut, hold_out
from theory.diffusion.likelihood_bound import gain_weights
from theory.diffusion.schedules import Times
from theory.diffusion.targets import Target
from theory.estimators.time_grid import TimeGrid
from theory.forward.images import DEFAULT_BATCH, Conditions, Images, ImageSet
from theory.forward.network import Network
from theory.forward.survey import survey
from theory.statistics.intervals import LEVEL, Estimate
from theory.support.checks import require_kind
from theory.support.errors import InputError

TOLERANCE = 1e-3
"""Relative room for a schedule that went through float32: sigma = 0.01 keeps no more of its digits."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Losses of two networks A and B, per image and time, in their common target.

    Attributes:
        grid: the times (T,) of the schedule.
        target: what both networks predict.
        dimension: d, of an image.
        first, second: what was measured of A and of B.
        units: (n,), which of the images are copies of each other or belong together.
    """

    grid: TimeGrid
    target: Target
    dimension: int
    first: HeldOut
    second: HeldOut
    units: Int64[Tensor, "image"]

    @property
    def independent(self) -> int:
        """Number of units: copies, and what belongs together, count once."""
        return len(self.units.unique())

    @property
    def rises(self) -> Float64[Tensor, "image time"]:
        """|r_B|^2 - |r_A|^2, mean over draws: by how much the loss of B is higher."""
        return self.second.losses - self.first.losses

    @property
    def level_of_each(self) -> float:
        """Confidence of the interval of one time, so that all T hold at once with that of ``LEVEL``."""
        return 1 - (1 - LEVEL) / self.rises.shape[1]

    def loss_rise(self) -> list[Estimate]:
        """By how much the loss of B is higher, per time; all intervals hold at once (union bound)."""
        return [Estimate.of_mean(rise, self.units, self.level_of_each) for rise in self.rises.T]

    def bound_rise(self) -> Estimate:
        """By how much the likelihood bound of B is higher, in nats, over the times compared."""
        weights = gain_weights(self.grid.schedule, self.target, self.grid.times)
        return Estimate.of_mean(self.rises @ weights, self.units)

    def warnings(self) -> tuple[str | None, str | None]:
        """What speaks against the description of A and of B, a line each; None where nothing does."""
        first, second = (
            description_warning(
                self.grid, self.target, found.line_check, found.eta_sq, self.dimension
            )
            for found in (self.first, self.second)
        )
        return first, second

    def verdict(self, first: str = "A", second: str = "B") -> str:
        """What is certain of the second network against the first, in a sentence with these names."""
        n, times = self.rises.shape
        if not self.rises.any():
            return (
                f"no difference: {first} and {second} have the same loss on each of {n} images at each "
                f"of {times} times"
            )
        bound, rises = self.bound_rise(), self.loss_rise()
        worse, better = (sum(found) for found in zip(*map(_is_clear, rises), strict=True))
        if any(_is_clear(bound)):
            begin = f"{second} is {'worse' if bound.value > 0 else 'better'}: its bound is"
        else:
            of_what = " of the bound" if worse or better else ""
            begin = f"no difference{of_what} is certain: {second}'s bound is"
        return (
            f"{begin} {_change(bound)}; its loss is higher at {worse or 'none'} of {times} times and "
            f"lower at {better or 'none'} ({LEVEL:.0%} for all of them at once)"
        )


def compare(
    first: Network,
    second: Network,
    *,
    images: Images,
    times: Times | int,
    conditions: Conditions | None = None,
    groups: Sequence[Any] | Tensor | None = None,
    seed: int = 0,
    draws: int = 1,
    batch_size: int = DEFAULT_BATCH,
    device: Any = None,
    on_progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Measure two networks of one target and one schedule on the same images and the same noise.

    Args:
        first, second: the networks A and B, which are both shown what the schedule of A makes.
        images: that neither was trained on.
        times: at least two distinct times of the schedule, or how many, spread evenly in log-SNR.
        conditions, groups, seed, draws, batch_size, device: as for ``calibrate``; the noise is that of
            ``validate``.
        on_progress: called with the number of network evaluations after each call.

    Raises:
        InputError: networks that ``require_one_problem`` refuses, fewer than two times, or images or
            predictions that ``calibrate`` refuses.
    """
    for network in (first, second):
        require_kind("network", network, Network)
    times = as_schedule_times(first.schedule, times)
    require_one_problem(first, second, times)
    images = list(images) if isinstance(images, Iterator) else images  # they are read three times
    shown = ImageSet(images, conditions, batch_size, groups)
    look = survey(shown)
    measure = partial(
        hold_out, corrections={}, images=shown, times=times, seed=seed, draws=draws,
        mean_image=look.mean_image.mean, units=look.units,
        device=as_device(device), on_progress=on_progress,
    )  # fmt: skip
    return Comparison(
        TimeGrid(first.schedule, times), first.target, look.mean_image.mean.numel(),
        measure(first), measure(replace(first, predict=second.predict)), look.units,
    )  # fmt: skip


def require_one_problem(first: Network, second: Network, times: Real[Tensor, "time"]) -> None:
    """Refuse two networks unless they are shown the same x_t at these times and asked the same of it.

    Raises:
        InputError: another schedule or target, a network that is held against a reference, or fewer
            than two times of finite log-SNR, between which there is no bound.
    """
    one, other, t = first.schedule, second.schedule, times.double()
    if (finite := int(one.log_snr(t).isfinite().sum())) < 2:
        raise InputError(f"times: expected at least two of finite log-SNR, got {finite}")
    if any(network.reference is not None for network in (first, second)):
        raise InputError("compare: expected networks that are held against no reference")
    for what, pair, numbers in (
        ("schedule", (one, other), [(s.alpha(t), s.sigma(t)) for s in (one, other)]),
        ("target", (first.target, second.target),
         [network.target.coefficients(one, t) for network in (first, second)]),
    ):  # fmt: skip
        here, there = map(torch.stack, numbers)
        apart = ~torch.isclose(there, here, rtol=TOLERANCE, atol=0).all(0)
        if apart.any():
            raise InputError(
                f"compare: expected two networks of one {what}, got {pair[0]!r} and {pair[1]!r}, which "
                f"differ at t = {t[apart][0].item():g}"
            )


def _is_clear(rise: Estimate) -> tuple[bool, bool]:
    """Whether it is certain that something rises, and that it falls."""
    return rise.lower > 0, rise.upper < 0


def _change(rise: Estimate) -> str:
    """How many nats higher, or lower, with the interval of that."""
    ends = (rise.lower, rise.upper) if rise.value >= 0 else (-rise.upper, -rise.lower)
    return (
        f"{abs(rise.value):.3g} nats {'higher' if rise.value >= 0 else 'lower'} "
        f"({LEVEL:.0%}: {ends[0]:.3g} to {ends[1]:.3g})"
    )
