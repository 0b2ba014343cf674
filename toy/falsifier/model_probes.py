"""The claims that an exact model which a user brings is held against.

First the prediction itself: at random points, whose smallest is told, and swept over all times; and
its mean and martingale by quadrature. Then what calibration says of a model without error, and the
claims on its target.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
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
from toy.falsifier import model_errors as exactness
from toy.falsifier import sweeps
from toy.falsifier import user_cases as probes
from toy.falsifier.model_errors import Probe
from toy.falsifier.schedule_probes import SHARE, TO_RESOLVE
from toy.falsifier.sweeps import Found, SweptClaim
from toy.falsifier.user_cases import Point
from toy.falsifier.user_models import Formula, Model
from toy.judge.claim import Claim, ExactClaim
from toy.mixtures.diffusion import Diffusion
from toy.strategies import mixtures as strategies
from toy.strategies.mixtures import Components, ReverseCase

ToProbe = Callable[[Any], Probe]
Error = Callable[[Probe], float]

TIMES = ("s", "t")
OF_TARGET = ("conversion", "commutation")
OF_MISFIT = (*calibration.CLAIMS, *denoising.CLAIMS)
WITHOUT_ERROR = ("loss-fall", "denoising-fall")

SPACE_SHARE = 0.1
"""Of the cases, for sums in three dimensions and more."""

FORMULA_PARTS = 64
"""Of the schedule, for each of the diffusions that a formula is swept over."""

MOST_NODES = 3**9
"""Gauss-Hermite nodes at most, of all components."""


@dataclass(frozen=True)
class Place:
    """A diffusion, a time and a point x_t at which a formula is asked."""

    components: Components
    schedule: Schedule
    t: float
    x_t: tuple[float, ...]


def of_model(model: Model) -> Iterator[tuple[Claim, ...]]:
    """The claims on a model of one diffusion."""
    diffusion, dimension = model.diffusion, model.diffusion.data.dimension

    def to_probe(case: Point) -> Probe:
        return Probe(model, case.s, case.t, torch.tensor(case.x_t, dtype=torch.float64))

    def found(seed: int) -> Iterator[Found]:
        return _swept(model, seed, sweeps.PARTS, lambda t, x: Point(t, t, x))

    cases = probes.points(diffusion)
    sums = len(diffusion.data.log_weights) * exactness.NODES**dimension <= MOST_NODES
    yield (
        _prediction(cases, to_probe, found),
        *(_sums(cases, to_probe, 1.0 if dimension < 3 else SPACE_SHARE) if sums else ()),
    )
    yield (
        *(_without_error(cases, to_probe) if dimension == 1 else _conservative(cases, to_probe)),
        *_of_target(model.target, diffusion.schedule),
    )


def of_formula(formula: Formula) -> Iterator[tuple[Claim, ...]]:
    """The claims on a formula, over diffusions in one to three dimensions."""

    def to_probe(case: ReverseCase) -> Probe:
        return Probe(formula.model(case.diffusion), case.times.s, case.times.t, case.x_t())

    line = strategies.reverse_cases(1, reach=4.0, least=0.3)
    plane = strategies.reverse_cases(2, reach=4.0, least=0.3)
    space = strategies.reverse_cases(3, reach=1.5, least=0.8, most=1.2)
    cases = st.one_of(line, plane, space)
    yield (
        _prediction_of_formula(formula, cases, to_probe),
        *_sums(cases, to_probe, 1.0),
    )
    yield *_without_error(line, to_probe), *_conservative(st.one_of(plane, space), to_probe)


def _claim(id_: str, section: str, says: str, cases: Any, error: Any, share: float) -> ExactClaim:
    return ExactClaim(id_, section, says, cases, error, (), share=share, to_resolve=TO_RESOLVE)


def _prediction(
    cases: st.SearchStrategy[Any],
    to_probe: ToProbe,
    found: Callable[[int], Iterator[Found]],
) -> SweptClaim:
    claim = _claim(
        "prediction", "4", "the prediction is E[y|x_t]", cases,
        lambda case: exactness.prediction_error(to_probe(case)), 1.0,
    )  # fmt: skip

    def schedule_of(case: Any) -> Schedule:
        return to_probe(case).model.diffusion.schedule

    return SweptClaim(**vars(claim), sweep=found, simpler=_rounder(schedule_of))


def _prediction_of_formula(
    formula: Formula, cases: st.SearchStrategy[Any], to_probe: ToProbe
) -> SweptClaim:
    def of_case(case: Any) -> Probe:
        if not isinstance(case, Place):
            return to_probe(case)
        model = formula.model(Diffusion(case.components.mixture(), case.schedule))
        return Probe(model, case.t, case.t, torch.tensor(case.x_t, dtype=torch.float64))

    def found(seed: int) -> Iterator[Found]:
        for components, schedule in itertools.product(SWEPT_DATA, SWEPT_SCHEDULES):
            model = formula.model(Diffusion(components.mixture(), schedule))
            yield from _swept(model, seed, FORMULA_PARTS, partial(Place, components, schedule))

    return _prediction(cases, of_case, found)


def _sums(cases: st.SearchStrategy[Any], to_probe: ToProbe, share: float) -> Iterator[ExactClaim]:
    for name, section, says, error in (
        ("mean", "4", "E[y_theta] = A E[x_0]", exactness.mean_error),
        ("martingale", "1", "alpha times its score is a martingale", exactness.martingale_error),
    ):
        yield _claim(name, section, says, cases, _of(error, to_probe), share)


def _of(error: Error, to_probe: ToProbe) -> Callable[[Any], float]:
    return lambda case: error(to_probe(case))


def _conservative(cases: st.SearchStrategy[Any], to_probe: ToProbe) -> Iterator[ExactClaim]:
    yield _claim(
        "conservative", "4", "the Jacobian of its score is symmetric", cases,
        _of(exactness.conservative_error, to_probe), SHARE,
    )  # fmt: skip


def _without_error(cases: st.SearchStrategy[Any], to_probe: ToProbe) -> Iterator[ExactClaim]:
    """The claims on shifts, with zero for the best one."""

    def held(error: Callable[[Any], float]) -> Callable[[tuple[Any, float]], float]:
        def of_case(case: tuple[Any, float]) -> float:
            return error(exactness.held_case(to_probe(case[0]), case[1]))

        return of_case

    shifted = st.tuples(cases, st.floats(-2.0, 2.0))
    for claim in OF_MISFIT:
        if isinstance(claim, ExactClaim) and claim.id in WITHOUT_ERROR:
            says = f"{claim.says}, for eta = 0"
            yield _claim(claim.id, claim.section, says, shifted, held(claim.error), SHARE)


def _of_target(target: Target, schedule: Schedule) -> Iterator[ExactClaim]:
    """Conversions from the model's own target."""
    for claim in schedules.CLAIMS:
        if claim.id in OF_TARGET:
            cases = probes.on_schedule(claim.strategy, schedule)
            own = cases.map(lambda case: replace(case, source=target))
            yield _claim(claim.id, claim.section, claim.says, own, claim.error, SHARE)


def _swept(
    model: Model, seed: int, parts: int, case: Callable[[float, tuple[float, ...]], Any]
) -> Iterator[Found]:
    """The worst point at each of the stratified times."""
    diffusion = model.diffusion
    for k, t in enumerate(sweeps.stratified(diffusion.schedule, seed, parts)):
        if sweeps.usable(diffusion.schedule, t):
            x = sweeps.points(diffusion.marginal(t), seed + k)
            error, worst = exactness.prediction_errors(model, x, t).max(0)
            yield error.item(), case(t, tuple(x[worst].tolist()))


def _rounder(schedule_of: Callable[[Any], Schedule]) -> Callable[[Any], Iterator[Any]]:
    """A point found by sweeping, with fewer digits in its time and its place."""

    def simpler(case: Any) -> Iterator[Any]:
        if isinstance(case, ReverseCase):
            return
        schedule = schedule_of(case)
        for t in filter(partial(sweeps.is_time, schedule), sweeps.fewer_digits(case.t)):
            for x_t in zip(*map(sweeps.fewer_digits, case.x_t), strict=True):
                yield replace(case, **{key: t for key in TIMES if hasattr(case, key)}, x_t=x_t)

    return simpler


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
