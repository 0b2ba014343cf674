"""The claims that a user's model is tried on.

First the prediction itself, at random points and at times swept over the whole schedule, and its mean
and martingale by quadrature. Then the claims on planted errors, of which the model has none, and the
claims on its target.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hypothesis import strategies as st

from theory.diffusion.schedules import (
    EDM,
    DiscreteSchedule,
    RectifiedFlow,
    Schedule,
    VPCosine,
    VPLinear,
)
from theory.diffusion.targets import Target
from toy.claims import calibration, denoising, schedules
from toy.claims.table import ALL
from toy.falsifier import model_errors, sweeps
from toy.falsifier.model_errors import ModelPoint
from toy.falsifier.model_mistakes import explain_model
from toy.falsifier.rounding import rounder_cases
from toy.falsifier.schedule_claims import SHARE, TO_RESOLVE, Stage
from toy.falsifier.sweeps import ErrorAndCase, SweptClaim
from toy.falsifier.user_cases import Point, moved_to_schedule, points_of
from toy.falsifier.user_models import Formula, Model
from toy.judge.claim import ExactClaim
from toy.judge.verdicts import NotTried
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import float64
from toy.strategies.mixtures import Components, ReverseCase, reverse_cases

ToPoint = Callable[[Any], ModelPoint]
"""From a case to the model at a point."""

OF_TARGET = ("conversion", "commutation")
ON_PLANTED_ERROR = (*calibration.CLAIMS, *denoising.CLAIMS)
WITHOUT_ERROR = ("loss-fall", "denoising-fall")

SPACE_SHARE = 0.1
"""Share of the cases for sums in three dimensions and more."""

FORMULA_PARTS = 64
"""Parts of the schedule for each of the diffusions that a formula is swept over."""

MOST_NODES = 3**9
"""The most Gauss-Hermite nodes of all components together."""


@dataclass(frozen=True)
class Place:
    """A diffusion, a time and a point x_t at which a formula is tried."""

    components: Components
    schedule: Schedule
    t: float
    x_t: tuple[float, ...]


def claims_on_model(model: Model) -> Iterator[Stage]:
    """The claims on a model of one diffusion, by stages."""
    diffusion, dimension = model.diffusion, model.diffusion.data.dimension

    def at_point(case: Point) -> ModelPoint:
        """The model at the case's point."""
        return ModelPoint(model, case.s, case.t, float64(case.x_t))

    def sweep(seed: int) -> Iterator[ErrorAndCase]:
        """The worst point at each time, and the row that depends most on others."""
        yield from _swept(model, seed, sweeps.PARTS, lambda t, x: Point(t, t, x))
        error, of = model_errors.error_among_others(model)
        yield error, Point(of.t, of.t, tuple(of.x_t.tolist()))

    cases = points_of(diffusion)
    sums = len(diffusion.data.log_weights) * model_errors.NODES**dimension <= MOST_NODES
    of_sums = tuple(_sums(cases, at_point, 1.0 if dimension < 3 else SPACE_SHARE))
    too_many = NotTried(len(of_sums), "so many components or dimensions need too many nodes")
    prediction = _prediction(cases, at_point, sweep)
    yield Stage((prediction, *of_sums)) if sums else Stage((prediction,), (too_many,))
    yield _last_stage(
        *(_without_error(cases, at_point) if dimension == 1 else _conservative(cases, at_point)),
        *_of_target(model.target, diffusion.schedule),
    )


def claims_on_formula(formula: Formula) -> Iterator[Stage]:
    """The claims on a formula, over diffusions in one to three dimensions, by stages."""

    def at_point(case: ReverseCase) -> ModelPoint:
        """The formula for the case's diffusion, at its point."""
        return ModelPoint(formula.model(case.diffusion), case.times.s, case.times.t, case.x_t())

    line = reverse_cases(1, reach=4.0, least=0.3)
    plane = reverse_cases(2, reach=4.0, least=0.3)
    space = reverse_cases(3, reach=1.5, least=0.8, most=1.2)
    cases = st.one_of(line, plane, space)
    prediction = _prediction_of_formula(formula, cases, at_point)
    yield Stage((prediction, *_sums(cases, at_point, 1.0)))
    solid = _conservative(st.one_of(plane, space), at_point)
    yield _last_stage(*_without_error(line, at_point), *solid)


def _last_stage(*claims: ExactClaim) -> Stage:
    """These claims, and how many of the table's are not among them."""
    known = {claim.id for claim in ALL} & {claim.id for claim in claims}
    return Stage(claims, (NotTried(len(ALL) - len(known), "they are not about one exact model"),))


def _claim(
    id_: str,
    section: str,
    says: str,
    cases: st.SearchStrategy[Any],
    error: Callable[[Any], float],
    share: float,
    to_point: ToPoint,
) -> SweptClaim:
    """A claim on points, without a sweep, whose counterexample is rounded and explained.

    Args:
        id_, section, says, error, share: as for ``ExactClaim``.
        cases: a strategy.
        to_point: from a case to its point.
    """

    def simpler(case: Any) -> Iterator[Any]:
        """The case with fewer digits."""
        return rounder_cases(case, to_point(case).model.diffusion.schedule)

    return SweptClaim(
        id_, section, says, cases, error, (), share=share, to_resolve=TO_RESOLVE,
        explains=lambda case: explain_model(to_point(case)), simpler=simpler,
    )  # fmt: skip


def _at(error: Callable[[ModelPoint], float], to_point: ToPoint) -> Callable[[Any], float]:
    return lambda case: error(to_point(case))


def _prediction(
    cases: st.SearchStrategy[Any], to_point: ToPoint, sweep: Callable[[int], Iterator[ErrorAndCase]]
) -> SweptClaim:
    claim = _claim(
        "prediction", "4", "the prediction is E[y|x_t]", cases,
        _at(model_errors.prediction_error, to_point), 1.0, to_point,
    )  # fmt: skip
    return replace(claim, sweep=sweep)


def _prediction_of_formula(
    formula: Formula, cases: st.SearchStrategy[Any], to_point: ToPoint
) -> SweptClaim:
    def at_place(case: Any) -> ModelPoint:
        """The formula at a place that was swept, or at a case of the strategy."""
        if not isinstance(case, Place):
            return to_point(case)
        model = formula.model(Diffusion(case.components.mixture(), case.schedule))
        return ModelPoint(model, case.t, case.t, float64(case.x_t))

    def sweep(seed: int) -> Iterator[ErrorAndCase]:
        """The worst point at each time of each diffusion."""
        for components, schedule in itertools.product(SWEPT_DATA, SWEPT_SCHEDULES):
            model = formula.model(Diffusion(components.mixture(), schedule))
            yield from _swept(model, seed, FORMULA_PARTS, partial(Place, components, schedule))
            error, of = model_errors.error_among_others(model)
            yield error, Place(components, schedule, of.t, tuple(of.x_t.tolist()))

    return _prediction(cases, at_place, sweep)


def _sums(cases: st.SearchStrategy[Any], to_point: ToPoint, share: float) -> Iterator[ExactClaim]:
    for name, section, says, error in (
        ("mean", "4", "E[y_theta] = A E[x_0]", model_errors.model_mean_error),
        (
            "martingale",
            "1",
            "alpha times its score is a martingale",
            model_errors.model_martingale_error,
        ),
    ):
        yield _claim(name, section, says, cases, _at(error, to_point), share, to_point)


def _conservative(cases: st.SearchStrategy[Any], to_point: ToPoint) -> Iterator[ExactClaim]:
    yield _claim(
        "conservative", "4", "the Jacobian of its score is symmetric", cases,
        _at(model_errors.conservative_error, to_point), SHARE, to_point,
    )  # fmt: skip


def _without_error(cases: st.SearchStrategy[Any], to_point: ToPoint) -> Iterator[ExactClaim]:
    """The claims on the fall of a loss, where the best shift is zero."""

    def first(case: tuple[Any, float]) -> ModelPoint:
        """The point of a case with a shift."""
        return to_point(case[0])

    def for_model(error: Callable[[Any], float]) -> Callable[[tuple[Any, float]], float]:
        """The error of a point of the model and a shift."""
        return lambda case: error(model_errors.user_model_case(first(case), case[1]))

    shifted = st.tuples(cases, st.floats(-2.0, 2.0))
    for claim in ON_PLANTED_ERROR:
        if isinstance(claim, ExactClaim) and claim.id in WITHOUT_ERROR:
            says = f"{claim.says}, for eta = 0"
            error = for_model(claim.error)
            yield _claim(claim.id, claim.section, says, shifted, error, SHARE, first)


def _of_target(target: Target, schedule: Schedule) -> Iterator[ExactClaim]:
    """The claims on conversions, from the model's own target."""
    for claim in schedules.CLAIMS:
        if claim.id in OF_TARGET:
            cases = moved_to_schedule(claim.strategy, schedule)
            own = cases.map(lambda case: replace(case, source=target))
            yield ExactClaim(
                claim.id, claim.section, claim.says, own, claim.error, (), share=SHARE,
                to_resolve=TO_RESOLVE,
            )  # fmt: skip


def _swept(
    model: Model, seed: int, parts: int, case: Callable[[float, tuple[float, ...]], Any]
) -> Iterator[ErrorAndCase]:
    """The worst point at each of the sweeps.stratified times."""
    diffusion = model.diffusion
    for k, t in enumerate(sweeps.stratified(diffusion.schedule, seed, parts)):
        if sweeps.usable(diffusion.schedule, t):
            x = sweeps.points_around(diffusion.marginal(t), seed + k)
            error, worst = model_errors.prediction_errors(model, x, t).max(0)
            yield error.item(), case(t, tuple(x[worst].tolist()))


SWEPT_SCHEDULES: tuple[Schedule, ...] = (
    VPLinear(),
    RectifiedFlow(),
    EDM(),
    VPCosine(),
    DiscreteSchedule([0.99, 0.9, 0.7, 0.5, 0.3, 0.1, 0.01]),
)
SWEPT_DATA = (
    Components((1.0,), ((0.0,),), ((1.0,),), ()),
    Components((0.25, 0.75), ((-2.0,), (1.0,)), ((0.5,), (1.0,)), ()),
    Components((0.5, 0.5), ((-1.0, 0.0), (1.0, 1.0)), ((0.5, 1.0), (1.0, 2.0)), (0.5, 1.0)),
    Components((0.5, 0.5), ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0)), ((1.0, 0.5, 1.0),) * 2, (0.5, 1.0)),
)
