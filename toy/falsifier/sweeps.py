"""Sweeps over the whole of a schedule, which find errors that last for a short time only.

Times are stratified, one in each of many parts of the schedule and of the octaves towards either
end, and its ends themselves. At each time there are points around every component of the law, out to
thirty deviations.
"""

import math
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from theory.diffusion.schedules import DiscreteSchedule, Schedule
from toy.falsifier.user_cases import searched_log_snr, time_at
from toy.judge.claim import ExactClaim, Falsified, Record
from toy.mixtures.mixture import GaussianMixture, float64
from toy.numerics.reported_errors import MeasuredError
from toy.strategies.time_pairs import TimePair

PARTS = 256
OCTAVES = 24
"""How many times the distance to an end is halved."""

SWEPT_LOG_SNR = 15.0
"""Beyond it, sigma = sqrt(1 - alpha^2) has so few correct digits that it looks like a wrong one."""

INNER, REACH = 24, 9.0
"""Points near each component, and how many deviations from it they lie."""

FAR = (12.0, 16.0, 22.0, 30.0)
"""Deviations from a component at which there are more points."""

COMPONENTS = 8
"""Number of components with points around them at one time."""

ErrorAndCase = tuple[float, Any]
"""An error, and the case that has it."""


@dataclass(frozen=True)
class SweptClaim(ExactClaim):
    """An exact claim that is tried on a sweep as well, and whose counterexample is simplified.

    Attributes:
        sweep: from a seed to errors and their cases.
        simpler: from a case to similar ones, the simplest first.
    """

    sweep: Callable[[int], Iterable[ErrorAndCase]] = lambda seed: ()
    simpler: Callable[[Any], Iterable[Any]] = lambda case: ()

    def tried(self, examples: int, run_seed: int) -> Record:
        """Try so many cases of the strategy, and then the sweep, up to the first counterexample."""
        record = super().tried(examples, run_seed)
        if not record.fell:
            with suppress(Falsified):
                for error, case in sorted(self.sweep(run_seed), key=self._worst_failure_first):
                    record.add(MeasuredError(error, 0.0), case)
        record.add_simplest(self.simpler)
        return record

    def _worst_failure_first(self, found: ErrorAndCase) -> float:
        return 0.0 if found[0] <= self.tolerance else -found[0]


def stratified(schedule: Schedule, seed: int, parts: int = PARTS) -> list[float]:
    """Times of the schedule in order, including its ends; of a table, some of its own times."""
    draws = random.Random(seed)
    low, length = schedule.t_min, schedule.t_max - schedule.t_min
    shares = [(k + draws.random()) / parts for k in range(parts)]
    if isinstance(schedule, DiscreteSchedule):
        return sorted({0.0, length, *(float(math.floor(share * (length + 1))) for share in shares)})
    near = [2.0 ** -(k + draws.random()) for k in range(1, OCTAVES + 1)]
    shares += [0.0, 1.0, *near, *(1 - share for share in near)]
    return [min(low + share * length, schedule.t_max) for share in sorted(set(shares))]


def neighbouring_pairs(schedule: Schedule, seed: int) -> Iterator[TimePair]:
    """Neighbours among the stratified times, where the log-SNR is between -15 and 15."""
    times = stratified(schedule, seed)
    log_snr = schedule.log_snr(float64(times)).tolist()
    while log_snr and log_snr[0] > SWEPT_LOG_SNR:
        times, log_snr = times[1:], log_snr[1:]
    while log_snr and log_snr[-1] < -SWEPT_LOG_SNR:
        times, log_snr = times[:-1], log_snr[:-1]
    for s, t in pairwise(times):
        yield TimePair(schedule, s, t)


def usable(schedule: Schedule, t: float) -> bool:
    """Whether alpha and sigma are positive and finite at t, as they need not be at an end."""
    time = float64(t)
    scales = torch.stack([schedule.alpha(time), schedule.sigma(time)])
    return bool(((scales > 1e-12) & (scales < 1e12)).all())


def is_time(schedule: Schedule, t: float) -> bool:
    """Whether a number is a usable time of the schedule."""
    whole = not isinstance(schedule, DiscreteSchedule) or t == round(t)
    return whole and schedule.t_min <= t <= schedule.t_max and usable(schedule, t)


def points_around(law: GaussianMixture, seed: int) -> Tensor:
    """Points around some of the components, near and far, (n, d)."""
    generator = torch.Generator().manual_seed(seed)
    count, d = len(law.log_weights), law.dimension
    chosen = torch.randperm(count, generator=generator)[:COMPONENTS]
    strata = torch.arange(INNER, dtype=torch.float64)
    jitter = torch.rand(len(chosen), INNER, generator=generator, dtype=torch.float64)
    far = float64(FAR).expand(len(chosen), -1)
    radius = torch.cat([REACH * (strata + jitter) / INNER, far], 1)
    way = torch.randn(*radius.shape, d, generator=generator, dtype=torch.float64)
    z = radius[..., None] * way / way.norm(dim=-1, keepdim=True)
    offsets = torch.einsum("kij,knj->kni", law.axes[chosen], z * law.variances[chosen, None].sqrt())
    return (law.means[chosen, None] + offsets).flatten(0, 1)


def log_snr_grid(schedule: Schedule, step: float = 0.5) -> list[float]:
    """Times at equal distances of log-SNR, of at most ``step``, where it is within -12 and 12."""
    low, high = searched_log_snr(schedule)
    count = max(3, math.ceil((high - low) / step))
    log_snr = torch.linspace(high, low, count + 1, dtype=torch.float64).tolist()[1:-1]
    return [time_at(schedule, value) for value in log_snr]
