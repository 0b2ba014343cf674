"""Sweeps over the whole of a schedule: what is wrong for a short while only is found as well.

Times are stratified, one in each of many parts of the schedule and of the octaves towards either
end, and its ends themselves. At each there are points around every component of the law, out to
thirty deviations. What fails there is told with as few digits as it still fails with.
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
from toy.falsifier import user_cases as probes
from toy.judge.claim import ExactClaim, Falsified, Record
from toy.mixtures.diffusion import as_time
from toy.mixtures.mixture import GaussianMixture
from toy.numerics.readings import Reading
from toy.strategies.mixtures import TimePair

PARTS = 256
OCTAVES = 24
"""How many times the distance to an end is halved."""

LOG_SNR_REACH = 15.0
"""Beyond, a sigma computed as sqrt(1 - alpha^2) has lost too many digits to be told from a wrong one."""

INNER, REACH = 24, 9.0
"""Points near each component, and how many deviations from it they lie."""

FAR = (12.0, 16.0, 22.0, 30.0)
"""Deviations from a component at which there are points as well."""

COMPONENTS = 8
"""Around how many components there are points at one time."""

DIGITS = 17
Found = tuple[float, Any]
"""An error and the case that has it."""


@dataclass(frozen=True)
class SweptClaim(ExactClaim):
    """An exact claim that is tried on a sweep as well, and told on as simple a case as it fails on.

    ``sweep`` gives errors and cases from a seed; ``simpler`` gives cases like one, the simplest first.
    """

    sweep: Callable[[int], Iterable[Found]] = lambda seed: ()
    simpler: Callable[[Any], Iterable[Any]] = lambda case: ()

    def tried(self, examples: int, run_seed: int) -> Record:
        """What comes of so many cases of the strategy, and then of the sweep."""
        record = super().tried(examples, run_seed)
        if not record.fell:
            with suppress(Falsified):
                for error, case in sorted(self.sweep(run_seed), key=self._worst_of_falls_first):
                    record.add(Reading(error, 0.0), case)
        record.add_simplest(self.simpler)
        return record

    def _worst_of_falls_first(self, found: Found) -> float:
        return 0.0 if found[0] <= self.tolerance else -found[0]


def stratified(schedule: Schedule, seed: int, parts: int = PARTS) -> list[float]:
    """Times of the schedule in order, its ends among them; of a table, some of its own."""
    draws = random.Random(seed)
    low, length = schedule.t_min, schedule.t_max - schedule.t_min
    shares = [(k + draws.random()) / parts for k in range(parts)]
    if isinstance(schedule, DiscreteSchedule):
        return sorted({0.0, length, *(float(math.floor(share * (length + 1))) for share in shares)})
    near = [2.0 ** -(k + draws.random()) for k in range(1, OCTAVES + 1)]
    shares += [0.0, 1.0, *near, *(1 - share for share in near)]
    return [min(low + share * length, schedule.t_max) for share in sorted(set(shares))]


def pairs(schedule: Schedule, seed: int) -> Iterator[TimePair]:
    """Neighbours among the stratified times, where the log-SNR is between -15 and 15."""
    times = stratified(schedule, seed)
    log_snr = schedule.log_snr(torch.tensor(times, dtype=torch.float64)).tolist()
    while log_snr and log_snr[0] > LOG_SNR_REACH:
        times, log_snr = times[1:], log_snr[1:]
    while log_snr and log_snr[-1] < -LOG_SNR_REACH:
        times, log_snr = times[:-1], log_snr[:-1]
    for s, t in pairwise(times):
        yield TimePair(schedule, s, t)


def usable(schedule: Schedule, t: float) -> bool:
    """Whether alpha and sigma are positive and finite there, as they need not be at an end."""
    time = as_time(t)
    scales = torch.stack([schedule.alpha(time), schedule.sigma(time)])
    return bool(((scales > 1e-12) & (scales < 1e12)).all())


def is_time(schedule: Schedule, t: float) -> bool:
    """Whether a number is a time of the schedule at which ``usable``."""
    whole = not isinstance(schedule, DiscreteSchedule) or t == round(t)
    return whole and schedule.t_min <= t <= schedule.t_max and usable(schedule, t)


def points(law: GaussianMixture, seed: int) -> Tensor:
    """Points around some of the components, near and far, (n, d)."""
    generator = torch.Generator().manual_seed(seed)
    count, d = len(law.log_weights), law.dimension
    chosen = torch.randperm(count, generator=generator)[:COMPONENTS]
    strata = torch.arange(INNER, dtype=torch.float64)
    jitter = torch.rand(len(chosen), INNER, generator=generator, dtype=torch.float64)
    far = torch.tensor(FAR, dtype=torch.float64).expand(len(chosen), -1)
    radius = torch.cat([REACH * (strata + jitter) / INNER, far], 1)
    way = torch.randn(*radius.shape, d, generator=generator, dtype=torch.float64)
    z = radius[..., None] * way / way.norm(dim=-1, keepdim=True)
    axes = torch.eye(d, dtype=torch.float64).expand(count, d, d)
    axes = axes if law.rotations is None else law.rotations
    offsets = torch.einsum("kij,knj->kni", axes[chosen], z * law.variances[chosen, None].sqrt())
    return (law.means[chosen, None] + offsets).flatten(0, 1)


def fewer_digits(value: float) -> Iterator[float]:
    """The value with one significant digit, with two, and so on."""
    return (float(f"{value:.{digits}g}") for digits in range(1, DIGITS + 1))


def rounder_pairs(pair: TimePair) -> Iterator[TimePair]:
    """The pair with fewer digits, where they are still apart and within the schedule."""
    for s, t in zip(fewer_digits(pair.s), fewer_digits(pair.t), strict=True):
        if pair.schedule.t_min <= s < t <= pair.schedule.t_max:
            yield TimePair(pair.schedule, s, t)


def log_snr_grid(schedule: Schedule, step: float = 0.5) -> list[float]:
    """Times from t_min to t_max that are ``step`` of log-SNR apart where it is within -12 and 12."""
    low, high = probes.log_snr_range(schedule)
    count = max(3, math.ceil((high - low) / step))
    log_snr = torch.linspace(high, low, count + 1, dtype=torch.float64).tolist()[1:-1]
    return [probes.time_at(schedule, value) for value in log_snr]
