"""The claims, on a schedule or a model that a user brings (``toy.falsifier.user_models``).

Nothing is asked of what is brought but what is tried: times are found by bisection of the log-SNR.
First comes what everything else presupposes: that a schedule agrees with itself, that a model
predicts E[y|x_t]. Where that falls, the rest is not tried.
"""

from collections.abc import Iterator

from hypothesis.errors import Flaky

from theory.diffusion.schedules import Schedule
from theory.support.errors import InputError, one_line_with_type
from toy.falsifier import model_probes, schedule_probes
from toy.falsifier.user_models import Formula, Model
from toy.judge.claim import Claim
from toy.judge.verdicts import Verdict, judge

Stages = Iterator[tuple[Claim, ...]]
"""Claims of which each lot presupposes those before, made when it is its turn."""


def schedule_stages(schedule: Schedule) -> Stages:
    """What must hold of any schedule."""
    yield schedule_probes.decreasing(schedule)
    yield schedule_probes.own(schedule)
    yield schedule_probes.of_families(schedule)


def model_stages(brought: Model | Formula) -> Stages:
    """What must hold of an exact model: of its own diffusion, or of any if it is a formula."""
    if isinstance(brought, Formula):
        yield from model_probes.of_formula(brought)
    else:
        yield schedule_probes.decreasing(brought.diffusion.schedule)
        yield from model_probes.of_model(brought)


def falsify(stages: Stages, examples: int, seed: int) -> Iterator[Verdict]:
    """Each claim's verdict in turn, as far as none of an earlier stage has fallen.

    Raises:
        InputError: what was brought raises an exception, or answers differently when asked again.
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
