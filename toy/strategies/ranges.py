"""Bounded martingales and their ranges, and what Azuma and Hoeffding's inequality must refuse."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import strategies as st

from theory.bounds.concentration import ComponentProbability, PosteriorMean
from toy.mixtures.bounded_martingales import BoundedProcess, atomic_mean, concentric_probability
from toy.mixtures.mixture import float64
from toy.strategies.numbers import number, number_tuple
from toy.strategies.time_pairs import SMOOTH_SCHEDULES, TimePair, log_snr_range


@dataclass(frozen=True)
class RangeCase:
    """Concentric components, or atoms whose first coordinates span [-1, 1]; at time t of a pair."""

    weights: tuple[float, ...]
    deviations: tuple[float, ...]
    atoms: tuple[tuple[float, ...], ...]
    dimension: int
    times: TimePair

    def probability(self) -> BoundedProcess:
        """P(1|x_t) of the narrowest component."""
        variances = tuple(v**2 for v in sorted(self.deviations))
        return concentric_probability(self.weights, variances, self.dimension, self.times.schedule)

    def mean(self) -> BoundedProcess:
        """The first coordinate of E[x_0|x_t]."""
        return atomic_mean(self.weights, self.atoms, self.times.schedule)


@dataclass(frozen=True)
class NamedBounds:
    """Anything with a name and ends, as the score could be given."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class RefusedCase:
    """A process that is not known to be bounded, or widths that are not its own; and a tail."""

    of: Any
    eps: float
    widths: tuple[float, ...]


@st.composite
def range_cases(draw: Any) -> RangeCase:
    """Two to four components in one to eight dimensions, and as many atoms in two."""
    count, dimension = draw(st.integers(2, 4)), draw(st.integers(1, 8))
    chosen = draw(SMOOTH_SCHEDULES)
    log_snr = draw(number(*log_snr_range(chosen, -4.0, 4.0)))
    t = chosen.time_of(float64(log_snr)).item()
    deviations = draw(number_tuple(0.0, 2.0, count - 1))
    inner = [(draw(number(-0.9, 0.9)), draw(number(-1.0, 1.0))) for _ in range(count - 2)]
    outer = [(end, draw(number(-1.0, 1.0))) for end in (-1.0, 1.0)]
    return RangeCase(
        draw(number_tuple(0.01, 1.0, count)), (0.1, *(0.3 + d for d in deviations)),
        (*outer, *inner), dimension, TimePair(chosen, t, t),
    )  # fmt: skip


def refused_cases() -> st.SearchStrategy[RefusedCase]:
    """The score by itself, by name, with ends; means of unbounded data; widths above those of P(k|x)."""
    end = number(0.1, 10.0)
    unbounded = ("score", None, (-5.0, 5.0))

    def widths(low: float, high: float) -> st.SearchStrategy[tuple[float, ...]]:
        """Up to five of them."""
        return st.lists(number(low, high), min_size=1, max_size=5).map(tuple)

    return st.builds(
        RefusedCase,
        st.sampled_from(unbounded)
        | st.builds(lambda b: NamedBounds("score", -b, b), end)
        | st.builds(lambda b: partial(PosteriorMean, -math.inf, b), end)
        | st.builds(lambda b: partial(PosteriorMean, -b, math.inf), end),
        number(0.1, 2.0),
        widths(0.01, 1.0),
    ) | st.builds(RefusedCase, st.just(ComponentProbability()), number(0.1, 2.0), widths(1.01, 9.0))
