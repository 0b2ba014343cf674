"""Azuma and Hoeffding's inequality where it holds: on a grid along paths of bounded martingales.

    P(max_i |M_i - M_0| >= eps) <= 2 exp(-2 eps^2 / sum_i c_i^2),    T = t_0 > ... > t_N,

for the mean of M over independent paths from one x_T, which divides the widths. The widths c_i are
exact ranges given the past (``toy.mixtures.bounded``), which are themselves held against a search. A single
step has a range too, so that a finer grid makes a weaker bound: a grid of one step tells a width
from its half, and a grid of several a width from the size of a typical step.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from theory.bounds.concentration import ComponentProbability, PosteriorMean, azuma_hoeffding
from theory.diffusion.schedules import VPLinear
from theory.support.errors import InputError
from toy.claims.tails import HIGH_NOISE, LEVEL, LOW_NOISE, exceedance, tail
from toy.judge.claim import ExactClaim, Mutant, StatisticalClaim, Trial
from toy.mixtures.bounded import Bounded, atomic, concentric
from toy.mixtures.diffusion import Diffusion
from toy.strategies.mixtures import TimePair, log_snr_range
from toy.strategies.models import smooth

GROUPS, GROUP = 4000, 10
"""Means, and paths in each."""

GRIDS = ((HIGH_NOISE, LOW_NOISE), (HIGH_NOISE, 0.5, 0.3, 0.15, LOW_NOISE))
EPS = (0.2, 0.25, 0.3, 0.4, 0.6)
"""In units of the whole range."""

PROBABILITY = concentric((0.5, 0.5), (0.01, 4.0), 2, VPLinear())
MEAN = atomic(
    (0.25, 0.2, 0.25, 0.2, 0.1),
    ((-1.0, 0.5), (1.0, -1.0), (1.0, 0.3), (-1.0, -1.0), (0.2, 1.0)),
    VPLinear(),
)

Widths = Callable[[Bounded, Sequence[float], Tensor], list[float]]
"""From the martingale, a grid and the values on it (N + 1, n), the widths c_i."""


def exact_widths(of: Bounded, grid: Sequence[float], values: Tensor) -> list[float]:
    """The range at each time, whatever has been before."""
    return [of.width(t) for t in grid[1:]]


def azuma_trial(of: Bounded, seed: int, widths: Widths = exact_widths) -> Trial:
    """max_i |mean over paths of M_i - M_0| from x_T = 0 against the inequality, on every grid."""
    generator, tails = torch.Generator().manual_seed(seed), []
    span = of.kind.high - of.kind.low
    for grid in GRIDS:
        x_t = torch.zeros(GROUPS * GROUP, of.diffusion.data.dimension, dtype=torch.float64)
        path = of.diffusion.reverse_path(x_t, list(grid), generator)
        values = torch.stack([of.value(x, t) for x, t in zip(path, grid, strict=True)])
        means = (values - values[0]).reshape(len(grid), GROUPS, GROUP).mean(2).abs().amax(0)
        each = [c / GROUP for c in widths(of, grid, values) for _ in range(GROUP)]
        tails += [tail(means, e * span, azuma_hoeffding(e * span, each, of.kind)) for e in EPS]
    return exceedance(tails)


def _half_the_widths(of: Bounded, grid: Sequence[float], values: Tensor) -> list[float]:
    return [c / 2 for c in exact_widths(of, grid, values)]


def _shared_out(of: Bounded, grid: Sequence[float], values: Tensor) -> list[float]:
    """As if the steps had to share the range."""
    return [c / (len(grid) - 1) for c in exact_widths(of, grid, values)]


def _deviations(of: Bounded, grid: Sequence[float], values: Tensor) -> list[float]:
    """How large a step typically is, for how large it can be."""
    return values.diff(dim=0).std(1).tolist()


def _score(of: Bounded) -> Bounded:
    """The score in its place, in units of its last deviation: as if it were bounded."""
    unit = of.diffusion.marginal(LOW_NOISE).score(torch.ones(1, 2, dtype=torch.float64)).norm()
    return replace(of, value=lambda x, t: of.diffusion.martingale(x, t)[:, 0] / unit)


def _blurred(of: Bounded, deviation: float = 2.0) -> Bounded:
    """Gaussians about the atoms in their place, as if their means' box were that of the data."""
    data = of.diffusion.data
    variances = torch.full_like(data.variances, deviation**2)
    diffusion = Diffusion(replace(data, variances=variances), of.diffusion.schedule)
    return replace(of, diffusion=diffusion, value=lambda x, t: diffusion.posterior_mean(x, t)[:, 0])


@dataclass(frozen=True)
class RangeCase:
    """Concentric components, or atoms whose first coordinates span [-1, 1]; at time t of a pair."""

    weights: tuple[float, ...]
    deviations: tuple[float, ...]
    atoms: tuple[tuple[float, ...], ...]
    dimension: int
    times: TimePair

    def probability(self) -> Bounded:
        """P(1|x_t) of the narrowest component."""
        variances = tuple(v**2 for v in sorted(self.deviations))
        return concentric(self.weights, variances, self.dimension, self.times.schedule)

    def mean(self) -> Bounded:
        """The first coordinate of E[x_0|x_t]."""
        return atomic(self.weights, self.atoms, self.times.schedule)


RangeAt = Callable[[Bounded, RangeCase], tuple[float, float]]


def _at_t(of: Bounded, case: RangeCase) -> tuple[float, float]:
    return of.range_at(case.times.t)


def probability_error(case: RangeCase, range_at: RangeAt = _at_t) -> float:
    """The values at all radii lie in the range, and come to its ends: at 0, and far out."""
    of, law = case.probability(), case.probability().diffusion.marginal(case.times.t)
    radii = torch.cat([torch.zeros(1), torch.logspace(-2, 3, 60)]).double()
    x = torch.zeros(len(radii), case.dimension, dtype=torch.float64)
    x[:, 0] = radii * law.variances[0, 0].sqrt()
    return _misfit(of.value(x, case.times.t), range_at(of, case))


def mean_error(case: RangeCase, range_at: RangeAt = _at_t) -> float:
    """The values along the first axis lie in the range, and come to its ends: far out."""
    of, (alpha_t, sigma_t) = case.mean(), case.mean().diffusion.scales(case.times.t)
    snr = alpha_t**2 / sigma_t**2
    tilts = torch.logspace(-2, math.log10(400 + 40 * snr), 60, dtype=torch.float64)
    x = torch.zeros(2 * len(tilts), len(case.atoms[0]), dtype=torch.float64)
    x[:, 0] = torch.cat([tilts, -tilts]) * sigma_t**2 / alpha_t
    return _misfit(of.value(x, case.times.t), range_at(of, case))


def _misfit(values: Tensor, ends: tuple[float, float]) -> float:
    return max(abs(values.min().item() - ends[0]), abs(values.max().item() - ends[1]))


def _without_dimension(of: Bounded, case: RangeCase) -> tuple[float, float]:
    return replace(case, dimension=1).probability().range_at(case.times.t)


def _prior_spread(of: Bounded, case: RangeCase) -> tuple[float, float]:
    """The prior's mean plus and minus its deviation."""
    data = of.diffusion.data
    p, m = data.log_weights.exp(), data.means[:, 0]
    mean, deviation = (p @ m).item(), (p @ m**2 - (p @ m) ** 2).sqrt().item()
    return mean - deviation, mean + deviation


@dataclass(frozen=True)
class NamedBounds:
    """Anything with a name and ends, as the score could be given."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class RefusedCase:
    """What is no bounded martingale, a tail, and widths."""

    of: Any
    eps: float
    widths: tuple[float, ...]


Inequality = Callable[[float, Sequence[float], Any], float]


def refusal_error(case: RefusedCase, inequality: Inequality = azuma_hoeffding) -> float:
    """1 where a bound comes out, 0 where it is refused: for the score, and for data with no box."""
    try:
        of = case.of() if isinstance(case.of, partial) else case.of
        inequality(case.eps, case.widths, of)
    except InputError:
        return 0.0
    return 1.0


def _trusting(eps: float, widths: Sequence[float], of: Any) -> float:
    return min(1.0, 2 * math.exp(-2 * eps**2 / sum(c**2 for c in widths)))


def _by_ends(eps: float, widths: Sequence[float], of: Any) -> float:
    """Whatever says that it has ends is taken to have them."""
    if not all(hasattr(of, name) for name in ("low", "high")):
        raise InputError("no ends")
    return _trusting(eps, widths, of)


def _number(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, allow_infinity=False)


@st.composite
def range_cases(draw: Any) -> RangeCase:
    """Two to four components in one to eight dimensions, as many atoms in two."""
    count, dimension = draw(st.integers(2, 4)), draw(st.integers(1, 8))
    chosen = draw(smooth())
    low, high = log_snr_range(chosen)
    wanted = draw(_number(max(low, -4.0), min(high, 4.0)))
    t = chosen.time_of(torch.tensor(wanted, dtype=torch.float64)).item()
    deviations = draw(st.tuples(*[_number(0.0, 2.0)] * (count - 1)))
    inner = [(draw(_number(-0.9, 0.9)), draw(_number(-1.0, 1.0))) for _ in range(count - 2)]
    outer = [(end, draw(_number(-1.0, 1.0))) for end in (-1.0, 1.0)]
    return RangeCase(
        draw(st.tuples(*[_number(0.01, 1.0)] * count)),
        (0.1, *(0.3 + d for d in deviations)),
        (*outer, *inner),
        dimension,
        TimePair(chosen, t, t),
    )


def refused_cases() -> st.SearchStrategy[RefusedCase]:
    """The score by itself, by name, with ends; posterior means of unbounded data; no widths."""
    end = _number(0.1, 10.0)
    unbounded = ("score", None, (-5.0, 5.0))
    return st.builds(
        RefusedCase,
        st.sampled_from(unbounded)
        | st.builds(lambda b: NamedBounds("score", -b, b), end)
        | st.builds(lambda b: partial(PosteriorMean, -math.inf, b), end)
        | st.builds(lambda b: partial(PosteriorMean, -b, math.inf), end),
        _number(0.1, 2.0),
        st.lists(_number(0.01, 1.0), min_size=1, max_size=5).map(tuple),
    ) | st.builds(
        RefusedCase,
        st.just(ComponentProbability()),
        _number(0.1, 2.0),
        st.lists(_number(1.01, 9.0), min_size=1, max_size=5).map(tuple),
    )


RANGES = range_cases()


def _claim(
    name: str, says: str, of: Bounded, in_its_place: Bounded, wrong: str
) -> StatisticalClaim:
    def trial(widths: Widths) -> Callable[[int], Trial]:
        return lambda seed: azuma_trial(of, seed, widths)

    return StatisticalClaim(
        f"tails-azuma-{name}", "2", f"Azuma-Hoeffding on a grid, for {says}", LEVEL,
        trial(exact_widths),
        (
            Mutant(f"half-the-widths-{name}", trial(_half_the_widths)),
            Mutant(f"range-shared-out-{name}", trial(_shared_out)),
            Mutant(f"deviations-for-widths-{name}", trial(_deviations)),
            Mutant(f"azuma-for-{wrong}", lambda seed: azuma_trial(in_its_place, seed)),
        ),
    )  # fmt: skip


CLAIMS = (
    ExactClaim(
        "azuma-refusal", "2", "Azuma-Hoeffding is refused for the score, and for data with no box",
        refused_cases(), refusal_error,
        (
            Mutant("azuma-trusting", lambda c: refusal_error(c, _trusting)),
            Mutant("azuma-by-ends", lambda c: refusal_error(c, _by_ends)),
        ),
    ),
    ExactClaim(
        "range-probability", "2", "the exact range of P(k|x_t), concentric components", RANGES,
        probability_error,
        (Mutant("range-without-dimension", lambda c: probability_error(c, _without_dimension)),),
    ),
    ExactClaim(
        "range-mean", "2", "the exact range of E[x_0|x_t], data in a box", RANGES, mean_error,
        (Mutant("range-of-a-deviation", lambda c: mean_error(c, _prior_spread)),),
    ),
    _claim("probability", "P(k|x_t), its range growing", PROBABILITY, _score(PROBABILITY), "score"),
    _claim("mean", "E[x_0|x_t] of data in a box", MEAN, _blurred(MEAN), "unbounded-data"),
)  # fmt: skip
