"""Tries a user's schedule or model (``toy.falsifier.user_models``) on the claims that apply to it.

Claims come in stages. The first ones are presupposed by the rest: that a schedule's functions agree
with each other, that a model predicts E[y|x_t]. If one of a stage falls, the next is not tried.
"""

from collections.abc import Iterator

from hypothesis.errors import Flaky

from theory.diffusion.schedules import Schedule
from theory.support.errors import InputError, one_line_with_type
from toy.falsifier.model_claims import claims_on_formula, claims_on_model
from toy.falsifier.schedule_claims import consistency_claims, monotone_claims, other_claims
from toy.falsifier.user_models import Formula, Model
from toy.judge.claim import Claim
from toy.judge.verdicts import Verdict, judge

Stages = Iterator[tuple[Claim, ...]]
"""Groups of claims, each made when the one before it has passed."""


def schedule_stages(schedule: Schedule) -> Stages:
    """The claims that must hold for any schedule."""
    yield monotone_claims(schedule)
    yield consistency_claims(schedule)
    yield other_claims(schedule)


def model_stages(model: Model | Formula) -> Stages:
    """The claims that must hold for an exact model: of its own diffusion, or of any for a formula."""
    if isinstance(model, Formula):
        yield from claims_on_formula(model)
    else:
        yield monotone_claims(model.diffusion.schedule)
        yield from claims_on_model(model)


def falsify(stages: Stages, examples: int, seed: int) -> Iterator[Verdict]:
    """Each claim's verdict in turn, up to the end of the first stage in which one falls.

    Raises:
        InputError: the user's code raises an exception, or answers differently when asked again.
    """
    try:
        for claims in stages:
            verdicts = []
            for claim in claims:
                verdicts.append(judge(claim, examples, seed))
                yield verdicts[-1]
            if any(v.evidence.counterexample for v in verdicts):
                return
    except InputError:
        raise
    except Flaky as error:
        raise InputError("what was brought answers differently when asked again") from error
    except (Exception, SystemExit) as error:
        raise InputError(f"what was brought fails: {one_line_with_type(error)}") from error
