"""Tries a user's schedule or model (``toy.falsifier.user_models``) on the claims that apply to it.

Claims come in stages. The first ones are presupposed by the rest: that a schedule's functions agree
with each other, that a model predicts E[y|x_t]. If one of a stage falls, the next are not tried.
"""

from collections.abc import Iterator
from contextlib import suppress

from hypothesis.errors import Flaky

from theory.diffusion.schedules import Schedule
from theory.support.errors import InputError, one_line_with_type
from toy.falsifier.model_claims import claims_on_formula, claims_on_model
from toy.falsifier.schedule_claims import (
    Stage,
    consistency_claims,
    monotone_claims,
    other_claims,
)
from toy.falsifier.user_models import Formula, Model
from toy.judge.verdicts import NotTried, Verdict, judge

Stages = Iterator[Stage]
"""Groups of claims, each made when the one before it has passed."""


def schedule_stages(schedule: Schedule) -> Stages:
    """The claims that must hold for any schedule."""
    yield Stage(monotone_claims(schedule))
    yield Stage(consistency_claims(schedule))
    yield other_claims(schedule)


def model_stages(model: Model | Formula) -> Stages:
    """The claims that must hold for an exact model: of its own diffusion, or of any for a formula."""
    if isinstance(model, Formula):
        yield from claims_on_formula(model)
    else:
        yield Stage(monotone_claims(model.diffusion.schedule))
        yield from claims_on_model(model)


def falsify(stages: Stages, examples: int, seed: int) -> Iterator[Verdict | NotTried]:
    """Each claim's verdict in turn, up to the end of the first stage in which one falls.

    After them, what is not tried.

    Raises:
        InputError: the user's code raises an exception, or answers differently when asked again.
    """
    not_tried: list[NotTried] = []
    fallen: list[str] = []
    try:
        for stage in stages:
            not_tried += stage.left_out
            for claim in stage.claims:
                verdict = judge(claim, examples, seed)
                yield verdict
                if verdict.evidence.counterexample:
                    fallen.append(claim.id)
            if fallen:
                not_tried += _presupposing(fallen, stages)
                break
        yield from not_tried
    except InputError:
        raise
    except Flaky as error:
        raise InputError("what was brought answers differently when asked again") from error
    except (Exception, SystemExit) as error:
        if fallen:  # which is said, and explains why
            yield NotTried(1, f"they fail then ({one_line_with_type(error)})", or_more=True)
            return
        raise InputError(f"what was brought fails: {one_line_with_type(error)}") from error


def _presupposing(fallen: list[str], left: Stages) -> list[NotTried]:
    """The claims of the stages that are left; not all can be counted if one cannot be made."""
    left_out: list[NotTried] = []
    count, complete = 0, False
    with suppress(Exception):
        for stage in left:
            count += len(stage.claims)
            left_out += stage.left_out
        complete = True
    if complete and not count:
        return left_out
    why = f"they presuppose what fell: {', '.join(fallen)}"
    return [NotTried(count, why, or_more=not complete), *left_out]
