"""Azuma and Hoeffding's inequality where it holds: on a grid along paths of bounded martingales.

    P(max_i |M_i - M_0| >= eps) <= 2 exp(-2 eps^2 / sum_i c_i^2),    T = t_0 > ... > t_N,

for the mean of M over independent paths from one x_T, which divides the widths. The widths c_i are
exact ranges given the past (``toy.mixtures.bounded_martingales``), which are themselves compared with
a search. A finer grid makes a weaker bound, as every step may use the whole range. So a grid of one
step tells a width from its half, and a grid of several tells it from the size of a typical step.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from theory.bounds.concentration import azuma_hoeffding
from theory.diffusion.schedules import VPLinear
from theory.support.errors import InputError
from toy.claims.tail_frequencies import HIGH_NOISE, LOW_NOISE, exceedance
from toy.judge.claim import StatisticalClaim, Trial, exact_claim, statistical_claim
from toy.mixtures.bounded_martingales import BoundedProcess, atomic_mean, concentric_probability
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.reverse_paths import values_along_paths
from toy.strategies.ranges import RangeCase, RefusedCase, range_cases, refused_cases

GROUPS, GROUP = 4000, 10
"""Means, and paths in each."""

GRIDS = ((HIGH_NOISE, LOW_NOISE), (HIGH_NOISE, 0.5, 0.3, 0.15, LOW_NOISE))
EPS = (0.2, 0.25, 0.3, 0.4, 0.6)
"""In units of the whole range."""

PROBABILITY = concentric_probability((0.5, 0.5), (0.01, 4.0), 2, VPLinear())
MEAN = atomic_mean(
    (0.25, 0.2, 0.25, 0.2, 0.1),
    ((-1.0, 0.5), (1.0, -1.0), (1.0, 0.3), (-1.0, -1.0), (0.2, 1.0)),
    VPLinear(),
)


def exact_widths(of: BoundedProcess, grid: Sequence[float], values: Tensor) -> list[float]:
    """The length of the range at each time, whatever the past."""
    return [of.width(t) for t in grid[1:]]


def azuma_trial(
    seed: int,
    of: BoundedProcess,
    widths: Callable[[BoundedProcess, Sequence[float], Tensor], list[float]] = exact_widths,
) -> Trial:
    """max_i |mean over paths of M_i - M_0| from x_T = 0 against the inequality, on every grid."""
    generator, tails = torch.Generator().manual_seed(seed), []
    span = of.kind.high - of.kind.low
    for grid in GRIDS:
        x_t = torch.zeros(GROUPS * GROUP, of.diffusion.data.dimension, dtype=torch.float64)
        values = values_along_paths(of.diffusion, x_t, list(grid), of.value, generator)
        means = (values - values[0]).reshape(len(grid), GROUPS, GROUP).mean(2).abs().amax(0)
        each = [c / GROUP for c in widths(of, grid, values) for _ in range(GROUP)]
        tails += [
            (means, eps, azuma_hoeffding(eps, each, of.kind)) for eps in (e * span for e in EPS)
        ]
    return exceedance(tails)


def _half_the_widths(of: BoundedProcess, grid: Sequence[float], values: Tensor) -> list[float]:
    return [c / 2 for c in exact_widths(of, grid, values)]


def _shared_out(of: BoundedProcess, grid: Sequence[float], values: Tensor) -> list[float]:
    """The widths divided by the number of steps, as if these had to share the range."""
    return [c / (len(grid) - 1) for c in exact_widths(of, grid, values)]


def _deviations(of: BoundedProcess, grid: Sequence[float], values: Tensor) -> list[float]:
    """The deviation of each step, for the range that it may use."""
    return values.diff(dim=0).std(1).tolist()


def _score(of: BoundedProcess) -> BoundedProcess:
    """The score for the bounded martingale, in units of its last deviation."""
    unit = of.diffusion.score(torch.ones(1, 2, dtype=torch.float64), LOW_NOISE).norm()
    return replace(of, value=lambda x, t: of.diffusion.martingale(x, t)[:, 0] / unit)


def _blurred(of: BoundedProcess, deviation: float = 2.0) -> BoundedProcess:
    """Gaussians about the atoms for the atoms themselves, with the box of their means."""
    data = of.diffusion.data
    variances = torch.full_like(data.variances, deviation**2)
    diffusion = Diffusion(replace(data, variances=variances), of.diffusion.schedule)
    return replace(of, diffusion=diffusion, value=lambda x, t: diffusion.posterior_mean(x, t)[:, 0])


def _dipping(of: BoundedProcess) -> BoundedProcess:
    """The martingale less most of its range in between, and nothing at both ends of the grid."""

    def dip(t: float) -> float:
        """From 0 at both ends to most of the range between them."""
        half = (HIGH_NOISE - LOW_NOISE) / 2
        return 0.9 * (HIGH_NOISE - t) * (t - LOW_NOISE) / half**2 * (of.kind.high - of.kind.low)

    return replace(of, value=lambda x, t: of.value(x, t) - dip(t))


RangeAt = Callable[[BoundedProcess, RangeCase], tuple[float, float]]
"""From a martingale and its case to the ends of the range at t."""


def _at_t(of: BoundedProcess, case: RangeCase) -> tuple[float, float]:
    return of.range_at(case.times.t)


def probability_range_error(case: RangeCase, range_at: RangeAt = _at_t) -> float:
    """Distance of the least and the largest value over all radii from the ends of the range."""
    of, law = case.probability(), case.probability().diffusion.marginal(case.times.t)
    radii = torch.cat([torch.zeros(1), torch.logspace(-2, 3, 60)]).double()
    x = torch.zeros(len(radii), case.dimension, dtype=torch.float64)
    x[:, 0] = radii * law.variances[0, 0].sqrt()
    return _distance(of.value(x, case.times.t), range_at(of, case))


def mean_range_error(case: RangeCase, range_at: RangeAt = _at_t) -> float:
    """Distance of the least and the largest value along the first axis from the ends of the range."""
    of, (alpha_t, sigma_t) = case.mean(), case.mean().diffusion.scales(case.times.t)
    snr = alpha_t**2 / sigma_t**2
    tilts = torch.logspace(-2, math.log10(400 + 40 * snr), 60, dtype=torch.float64)
    x = torch.zeros(2 * len(tilts), len(case.atoms[0]), dtype=torch.float64)
    x[:, 0] = torch.cat([tilts, -tilts]) * sigma_t**2 / alpha_t
    return _distance(of.value(x, case.times.t), range_at(of, case))


def _distance(values: Tensor, ends: tuple[float, float]) -> float:
    return max(abs(values.min().item() - ends[0]), abs(values.max().item() - ends[1]))


def _without_dimension(of: BoundedProcess, case: RangeCase) -> tuple[float, float]:
    return replace(case, dimension=1).probability().range_at(case.times.t)


def _prior_spread(of: BoundedProcess, case: RangeCase) -> tuple[float, float]:
    """The data's mean plus and minus its deviation."""
    data = of.diffusion.data
    p, m = data.log_weights.exp(), data.means[:, 0]
    mean, deviation = (p @ m).item(), (p @ m**2 - (p @ m) ** 2).sqrt().item()
    return mean - deviation, mean + deviation


def _one_end(k: int) -> RangeAt:
    """One end by the prior alone: its probability, or its mean less or plus its deviation."""

    def ends(of: BoundedProcess, case: RangeCase) -> tuple[float, float]:
        """The other end is right."""
        found = list(_at_t(of, case))
        probable = of.kind.low == 0.0
        prior = of.diffusion.data.log_weights[0].exp().item()
        found[k] = prior if probable else _prior_spread(of, case)[k]
        return found[0], found[1]

    return ends


def refusal_error(
    case: RefusedCase, inequality: Callable[[float, Sequence[float], Any], float] = azuma_hoeffding
) -> float:
    """0 where the inequality refuses the case, 1 where it gives a bound."""
    try:
        of = case.of() if isinstance(case.of, partial) else case.of
        inequality(case.eps, case.widths, of)
    except InputError:
        return 0.0
    return 1.0


def _trusting(eps: float, widths: Sequence[float], of: Any) -> float:
    return min(1.0, 2 * math.exp(-2 * eps**2 / sum(c**2 for c in widths)))


def _by_ends(eps: float, widths: Sequence[float], of: Any) -> float:
    """The inequality for anything that has ends."""
    if not all(hasattr(of, name) for name in ("low", "high")):
        raise InputError("no ends")
    return _trusting(eps, widths, of)


def _claim(
    name: str, says: str, of: BoundedProcess, unbounded: BoundedProcess, wrong: str
) -> StatisticalClaim:
    trial = partial(azuma_trial, of=of)
    return statistical_claim(
        f"tails-azuma-{name}", "2", f"Azuma-Hoeffding on a grid, for {says}", trial,
        widths={
            f"half-the-widths-{name}": _half_the_widths, f"range-shared-out-{name}": _shared_out,
            f"deviations-for-widths-{name}": _deviations,
        },
        of={f"azuma-for-{wrong}": unbounded, f"dip-in-between-{name}": _dipping(of)},
    )  # fmt: skip


RANGES = range_cases()

CLAIMS = (
    exact_claim(
        "azuma-refusal", "2", "Azuma-Hoeffding is refused for the score, and for data with no box",
        refused_cases(), refusal_error,
        inequality={"azuma-trusting": _trusting, "azuma-by-ends": _by_ends},
    ),
    exact_claim(
        "range-probability", "2", "the exact range of P(k|x_t), concentric components", RANGES,
        probability_range_error,
        range_at={
            "range-without-dimension": _without_dimension,
            "least-probability-of-the-prior": _one_end(0),
            "largest-probability-of-the-prior": _one_end(1),
        },
    ),
    exact_claim(
        "range-mean", "2", "the exact range of E[x_0|x_t], data in a box", RANGES, mean_range_error,
        range_at={
            "range-of-a-deviation": _prior_spread,
            "least-mean-of-a-deviation": _one_end(0), "largest-mean-of-a-deviation": _one_end(1),
        },
    ),
    _claim("probability", "P(k|x_t), its range growing", PROBABILITY, _score(PROBABILITY), "score"),
    _claim("mean", "E[x_0|x_t] of data in a box", MEAN, _blurred(MEAN), "unbounded-data"),
)  # fmt: skip
