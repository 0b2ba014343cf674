"""Solvers fitted to a network, and the sampler's own law led to q_t: exactly, without sampling.

The probability flow of one Gaussian N(mu, v) is known: in u = a x_0 + s e, the standardized position
(u - a mu) / sqrt(a^2 v + s^2) stays as it is. The exact network is affine there, so that a solver's
end is affine in its start, and two trajectories tell everything.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from hypothesis import strategies as st
from torch import Tensor

from theory.diffusion.schedules import EDM, Schedule
from theory.sampling import trajectory_fit
from theory.sampling.cells import kinds_for, partition
from theory.sampling.marginal_fit import KnownMoments, MomentMap, map_between
from theory.sampling.multistep import Multistep, first_order, scales, second_order
from theory.statistics.image_bases import Partition
from toy.claims.convergence_orders import REFINEMENTS, observed_order
from toy.judge.claim import exact_claim
from toy.mixtures.mixture import float64
from toy.numerics.relative_errors import largest
from toy.strategies.numbers import number, number_tuple

SCHEDULE = EDM()
"""Any schedule will do: positions are in a scale of their own, and steps are in log-SNR."""

ROUNDING = 1e-6
"""Of an observed order: errors of order two fall to 1e-6 of a deviation, and keep ten digits."""

MakeSolver = Callable[[Schedule, Tensor], Multistep]


@dataclass(frozen=True)
class GaussianFlowCase:
    """The flow of N(mean, variance) from one log-SNR over a span of it."""

    mean: float
    variance: float
    log_snr: float
    span: float

    def solver(self, steps: int, make: MakeSolver) -> Multistep:
        """A solver of so many steps over the span, and a last one to the data."""
        levels = self.log_snr + self.span * torch.arange(steps + 1, dtype=torch.float64) / steps
        return make(SCHEDULE, SCHEDULE.time_of(levels))

    def moments(self, log_snr: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of u."""
        a, s = scales(log_snr)
        return a * self.mean, a**2 * self.variance + s**2

    def predict(self, u: Tensor, log_snr: Tensor) -> Tensor:
        """E[x_0|u]."""
        (mean, total), a = self.moments(log_snr), scales(log_snr)[0]
        return self.mean + a * self.variance / total * (u - mean)


FLOWS = st.builds(
    GaussianFlowCase, number(-2.0, 2.0), number(0.3, 2.0), number(-3.0, 0.0), number(1.0, 2.0)
)


def flow_error(case: GaussianFlowCase, steps: int, make: MakeSolver) -> float:
    """Root mean square distance, over starts ~ q, of a solver's u to the flow's, over the span."""
    solver = case.solver(steps, make)
    mean, variance = case.moments(solver.log_snr)
    u, data = mean[0] + variance[0].sqrt() * float64([0.0, 1.0]), []
    for i in range(steps):
        data.append(case.predict(u, solver.log_snr[i]))
        u = solver.step(i, u, data)
    off = u - mean[-1] - variance[-1].sqrt() * float64([0.0, 1.0])
    return math.hypot(off[0].item(), (off[1] - off[0]).item())


def order_error(case: GaussianFlowCase, order: int, make: MakeSolver) -> float:
    """How far the observed order is off, beyond what rounding makes of the finest errors."""
    off = observed_order([flow_error(case, n, make) for n in REFINEMENTS]) - order
    return largest([0.0, abs(off) - ROUNDING])


def not_extrapolated(schedule: Schedule, times: Tensor) -> Multistep:
    """The mistake of a second order whose extrapolation goes half as far."""
    solver, plain = second_order(schedule, times), first_order(schedule, times)
    weights = (solver.weights + torch.nn.functional.pad(plain.weights, (0, 1))) / 2
    return Multistep(times, solver.log_snr, weights)


def without_noise_scale(schedule: Schedule, times: Tensor) -> Multistep:
    """The mistake of a noise that is taken over as it was, not in its new size."""
    solver = first_order(schedule, times)
    _, s = scales(solver.log_snr)
    weights = solver.weights.clone()
    weights[:-1, 0] *= s[:-1] / s[1:]
    return Multistep(times, solver.log_snr, weights)


@dataclass(frozen=True)
class RegressionCase:
    """Features of a step and what is left to the fine solution, from a seed."""

    seed: int
    shape: tuple[int, int, int]
    starts: int
    features: int
    kind: str
    ridge: float

    def drawn(self) -> tuple[Tensor, Tensor, Tensor]:
        """Features (k, n, d), true weights (k, cell) and noise (n, d)."""
        generator = torch.Generator().manual_seed(self.seed)
        draw = partial(torch.randn, generator=generator, dtype=torch.float64)
        d = math.prod(self.shape)
        return (
            draw(self.features, self.starts, d),
            draw(self.features, self.cells().count),
            draw(self.starts, d),
        )

    def cells(self) -> Partition:
        """Which coordinates share weights."""
        return partition(self.kind, self.shape)

    def combined(self, features: Tensor, weights: Tensor) -> Tensor:
        """What these weights make of the features."""
        cells = self.cells()
        of_each = weights[:, None, cells.index] * cells.coordinates(features)
        return cells.flat(of_each.sum(0))


SHAPE = (2, 4, 4)
REGRESSIONS = st.builds(
    RegressionCase, st.integers(0, 10**6), st.just(SHAPE), st.integers(12, 24), st.integers(2, 4),
    st.sampled_from(kinds_for(SHAPE)), st.sampled_from(trajectory_fit.RIDGES),
)  # fmt: skip

Weigh = Callable[[Tensor, float], Tensor]
"""From products and a ridge to the weights of every cell."""


def _fitted(case: RegressionCase, target: Tensor, features: Tensor, weigh: Weigh) -> Tensor:
    fold = torch.arange(case.starts) % trajectory_fit.FOLDS
    products = trajectory_fit.fold_products(case.cells(), features, target, fold).sum(0)
    return case.combined(features, weigh(products, case.ridge).T)


def rise(case: RegressionCase, weigh: Weigh = trajectory_fit.ridge_weights) -> float:
    """How far a fit raises the squared error on the starts that it is fitted to, over that before."""
    features, weights, noise = case.drawn()
    target = noise + 0.3 * case.combined(features, weights)
    left = target - _fitted(case, target, features, weigh)
    return largest([0.0, left.square().sum() / target.square().sum() - 1])


def span_error(case: RegressionCase, weigh: Weigh = trajectory_fit.ridge_weights) -> float:
    """What is left of a linear step whose weights are shared in this way, over its energy."""
    features, weights, _ = case.drawn()
    target = case.combined(features, weights)
    left = target - _fitted(case, target, features, lambda p, _: weigh(p, 0.0))
    return (left.square().sum() / target.square().sum()).item()


def outwards(products: Tensor, ridge: float) -> Tensor:
    """The mistake of weights with the wrong sign."""
    return -trajectory_fit.ridge_weights(products, ridge)


def too_far(products: Tensor, ridge: float) -> Tensor:
    """The mistake of weights more than twice as large as the best."""
    return 2.5 * trajectory_fit.ridge_weights(products, 0.0)


def one_feature_short(products: Tensor, ridge: float) -> Tensor:
    """The mistake of a fit that leaves out the oldest prediction."""
    weights = trajectory_fit.ridge_weights(products, ridge).clone()
    weights[:, -1] = 0
    return weights


@dataclass(frozen=True)
class MatchingCase:
    """A Gaussian of independent coordinates, sampled in few steps and matched after each."""

    mean: tuple[float, ...]
    variance: tuple[float, ...]
    log_snr: float
    span: float
    steps: int


MATCHINGS = st.builds(
    MatchingCase, number_tuple(-2.0, 2.0, 3), number_tuple(0.1, 3.0, 3), number(-4.0, 0.0),
    number(1.0, 8.0), st.integers(2, 6),
)  # fmt: skip

MakeMap = Callable[[Tensor, Tensor, KnownMoments, Partition], MomentMap]


def whole_way(mean: Tensor, variance: Tensor, known: KnownMoments, cells: Partition) -> MomentMap:
    """The map to the known moments, all the way."""
    one = torch.ones(cells.count, dtype=torch.float64)
    return map_between(mean, variance, known, cells, one, one)


def always(i: int, steps: int) -> bool:
    """A map after every step."""
    return True


def law_error(
    case: MatchingCase,
    make: MakeMap = whole_way,
    solver: MakeSolver = first_order,
    matched: Callable[[int, int], bool] = always,
) -> float:
    """The sampler's moments at every time that it visits against those of q, in deviations of q.

    The exact network is affine, so that the law stays Gaussian, and moments are all of it.
    """
    mean, variance = float64(case.mean), float64(case.variance)
    levels = case.log_snr + case.span * torch.arange(case.steps + 1).double() / case.steps
    steps = solver(SCHEDULE, SCHEDULE.time_of(levels))
    a, s = scales(steps.log_snr)
    cells, worst = partition("pixel", (3,)), 0.0
    total = a[:, None] ** 2 * variance + s[:, None] ** 2
    u, data = a[0] * mean + torch.stack([0 * mean, total[0].sqrt()]), []
    for i in range(case.steps):
        data.append(mean + a[i] * variance / total[i] * (u - a[i] * mean))
        u = steps.step(i, u, data)
        known = KnownMoments(a[i + 1] * mean, total[i + 1], 1)
        if matched(i, case.steps):
            u = make(u[0], (u[1] - u[0]).square(), known, cells).apply(u)
        off = torch.stack([u[0] - known.mean, (u[1] - u[0]).abs() - known.variance.sqrt()])
        worst = largest([worst, (off / known.variance.sqrt()).abs().amax()])
    return worst


def not_matched(mean: Tensor, variance: Tensor, known: KnownMoments, cells: Partition) -> MomentMap:
    """The mistake of no map."""
    zero = torch.zeros(cells.count, dtype=torch.float64)
    return map_between(mean, variance, known, cells, zero, zero)


def means_alone(mean: Tensor, variance: Tensor, known: KnownMoments, cells: Partition) -> MomentMap:
    """The mistake of a map of the means alone."""
    zero = torch.zeros(cells.count, dtype=torch.float64)
    return map_between(mean, variance, known, cells, zero + 1, zero)


def about_zero(mean: Tensor, variance: Tensor, known: KnownMoments, cells: Partition) -> MomentMap:
    """The mistake of a gain about zero, not about the mean."""
    whole = whole_way(mean, variance, known, cells)
    return MomentMap(cells, whole.gain, 0 * mean, whole.offset)


CLAIMS = (
    exact_claim(
        "solver-order-one", "11", "DDIM, written as weights, has order 1 to six digits", FLOWS,
        partial(order_error, order=1, make=first_order),
        make={"noise-of-the-old-size": without_noise_scale, "an-order-too-many": second_order},
        share=0.5,
    ),
    exact_claim(
        "solver-order-two", "11", "DPM-Solver++ 2M, written as weights, has order 2 to six digits", FLOWS,
        partial(order_error, order=2, make=second_order),
        make={"half-extrapolated": not_extrapolated, "an-order-too-few": first_order}, share=0.5,
    ),
    exact_claim(
        "fit-never-raises", "11", "a fit of any cells and ridge never raises the squared error fitted to",
        REGRESSIONS, rise, weigh={"fit-outwards": outwards, "fit-too-far": too_far},
    ),
    exact_claim(
        "fit-spans", "11", "any linear step whose weights are shared alike is found exactly",
        REGRESSIONS, span_error,
        weigh={"fit-one-feature-short": one_feature_short, "fit-backwards": outwards},
    ),
    exact_claim(
        "matching-exact", "11", "one Gaussian: the matched law is q at each visited time, in any steps",
        MATCHINGS, law_error,
        make={
            "not-matched": not_matched, "means-alone": means_alone, "gain-about-zero": about_zero,
        },
        matched={"matched-at-the-end-alone": lambda i, steps: i == steps - 1},
    ),
)  # fmt: skip
