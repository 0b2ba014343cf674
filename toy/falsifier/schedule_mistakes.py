"""What is wrong with a schedule: which of its functions disagrees with alpha and sigma, and how.

alpha and sigma are taken as they are; the rest follows from them (``schedule_functions``).
"""

import math
from typing import Any

from torch import Tensor

from theory.diffusion.schedules import DiscreteSchedule, Schedule
from toy.falsifier.mistakes import (
    AGREES,
    FLOAT32,
    constant_factor,
    explaining,
    is_rounding,
    is_single,
)
from toy.falsifier.scales import held_squares
from toy.falsifier.schedule_functions import (
    CERTAIN,
    INVERSE,
    STEP_FACTOR,
    STEP_VARIANCE,
    Compared,
    of_times,
    of_transitions,
    resolved_times,
)
from toy.falsifier.schedule_terms import OF_LOG_SNR, RIGHT
from toy.falsifier.slope_mistakes import difference_quotient
from toy.falsifier.sums import sum_of_terms
from toy.falsifier.sweeps import is_time, usable
from toy.falsifier.user_cases import times_of
from toy.falsifier.validation import places
from toy.falsifier.where import one_sided
from toy.judge.claim import EXACT_TOLERANCE
from toy.judge.evidence import Explanation
from toy.mixtures.mixture import float64
from toy.strategies.time_pairs import TimePair

OF_ANOTHER = (
    "d_alpha and d_sigma fit each other, so that either both are those of another schedule, or alpha and "
    "sigma are"
)
NEGLIGIBLE = 1e-9
"""Share of the largest value below which values are not compared with those of mistakes."""

FAR_APART = 1e-3
"""Share of a schedule that is longer than a step of float32."""

SCALES = {"d_alpha": "alpha", "d_sigma": "sigma"}
"""Slopes, and what they are the slopes of."""

END, SETTLED = 20, 1e-4
"""How often the distance to an end is halved, and how little a limit changes by one more time."""

AT_THE_END = "at an end: 0/0, or a guard against it; expected is what it tends to there"
STILL = "the value does not change there: a clamp, a table, or something kept from a call before"
STEPS = "float32 arithmetic: the value moves in small steps; make the numbers in float64"
BACKWARDS = (
    "time runs backwards, or alpha and sigma are exchanged: data belongs at t_min and noise at t_max, "
    "here it is the other way round"
)


def _explanation(found: Compared, schedule: Schedule, k: int) -> Explanation:
    """Of what differs at the time of this index."""
    mistake = _likely_mistake(found, schedule, k)
    wrong = ~(found.errors() <= EXACT_TOLERANCE)
    where = "" if mistake else one_sided("t", found.t, wrong, fewest=1)
    if found.quantity == INVERSE:
        u = schedule.time_of(schedule.log_snr(found.t)).detach()[k].item()
        where = where or f"time_of gives {u:.6g} in place of {found.t[k].item():.6g}"
    t, expected, got = (values[k].item() for values in (found.t, found.expected, found.got))
    return Explanation(found.quantity, t, expected, got, mistake, where)


def _likely_mistake(found: Compared, schedule: Schedule, k: int) -> str:
    """The likely one, or an empty text."""
    got, expected, is_slope = found.got, found.expected, found.quantity in SCALES
    if is_slope and (step := _difference_quotient(found, schedule)):
        return step
    known = expected.isfinite()
    if is_rounding(found.errors()[known], got, schedule):
        return FLOAT32
    sized = expected.abs() >= NEGLIGIBLE * expected.abs().nan_to_num(nan=0.0, posinf=0.0).max()
    of_sized = {name: values[sized] for name, values in found.wrong.items()}
    if mistake := explaining(got[sized], of_sized):
        return mistake
    if is_slope and expected[k] == 0:
        return STILL
    if guard := _guard(found, schedule):
        return guard
    factor = constant_factor(got[known], expected[known])
    if factor and is_slope and ":" not in factor:
        factor += ": the inner derivative (chain rule)?"
    of_another = _fit_each_other(schedule) if is_slope else ""
    formula = factor or of_another or _formula(found, sized)
    return formula or held_squares(schedule)


def _formula(found: Compared, sized: Tensor) -> str:
    """The values as a sum of terms in alpha and sigma, beside the right one; or an empty text."""
    got, terms = found.got[sized], {name: values[sized] for name, values in found.terms.items()}
    formula = sum_of_terms(got, terms)
    if not formula:
        return ""
    right = RIGHT[found.quantity]
    of_log_snr = {name: values for name, values in terms.items() if name == OF_LOG_SNR}
    same = sum_of_terms(got, of_log_snr)
    also = f" (here the same as {same})" if same not in ("", formula) else ""
    if "'" not in formula and "'" in right:  # the right one is told without slopes, too
        plain = {name: values for name, values in terms.items() if "'" not in name}
        without = sum_of_terms(found.expected[sized], plain)
        right += f" (here {without})" if without else ""
    return f"it is {formula}{also}, where {right} is right"


def _guard(found: Compared, schedule: Schedule) -> str:
    """What is added to alpha or sigma, so that it is never zero; or an empty text."""
    alpha, sigma = schedule.alpha(found.t), schedule.sigma(found.t)
    if found.quantity == "log_snr":
        ratio = found.got.exp()
        sizes = {
            "sigma^2": alpha**2 / ratio - sigma**2,
            "sigma": alpha / ratio.sqrt() - sigma,
            "alpha^2": ratio * sigma**2 - alpha**2,
            "alpha": ratio.sqrt() * sigma - alpha,
        }
    else:
        by = found.expected / found.got - 1
        sizes = {"alpha in a divisor": by * alpha, "sigma in a divisor": by * sigma}
    for name, added in sizes.items():
        size = added.median().item()
        scale = alpha if name.startswith("alpha") else sigma
        moves = scale.max() - scale.min() > CERTAIN * scale.max()
        constant = ((added - size).abs() <= CERTAIN * abs(size)).all()
        if moves and constant and abs(size) > EXACT_TOLERANCE:
            return f"a guard: {size:.3g} is added to {name}"
    return ""


def _difference_quotient(found: Compared, schedule: Schedule) -> str:
    of = getattr(schedule, SCALES[found.quantity])
    return difference_quotient(of, schedule, found.t, found.got, found.expected)


def _fit_each_other(schedule: Schedule) -> str:
    """Whether both slopes are wrong in the way of another schedule, if alpha^2 + sigma^2 is one."""
    t = float64(resolved_times(schedule))
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    terms = alpha * schedule.d_alpha(t), sigma * schedule.d_sigma(t)
    preserved = ((alpha**2 + sigma**2 - 1).abs() <= CERTAIN).all()
    fit = ((terms[0] + terms[1]).abs() <= AGREES * terms[0].abs()).all()
    return OF_ANOTHER if bool(preserved & fit) else ""


def explain_schedule(schedule: Schedule, case: Any) -> tuple[Explanation, ...]:
    """The first function that disagrees with alpha and sigma at the case's times, if one does.

    After it come the others that the user wrote; the rest follow from it. Transitions come last, as
    they follow from the others.
    """
    pair = times_of(case)
    if pair is None:
        return ()
    of_each = [of_times(schedule, t) for t in (pair.t, pair.s)]
    found: dict[str, Explanation] = {}
    for found_there in [*of_each, of_transitions(schedule, pair.s, pair.t)]:
        for compared in found_there:
            name = compared.quantity
            written = _is_written(schedule, name)
            k = compared.differs(elsewhere=written)
            if k is not None and name not in found and (not found or written):
                found[name] = _explanation(compared, schedule, k)
    return tuple(found.values())


def _is_written(schedule: Schedule, quantity: str) -> bool:
    """Whether the function that a quantity comes from is the user's own, not the toolkit's."""
    names = {INVERSE: "time_of", STEP_FACTOR: "transition", STEP_VARIANCE: "transition"}
    function = getattr(schedule, names.get(quantity, quantity))
    return getattr(function, "__module__", "").split(".")[0] != "theory"


def explain_ends(schedule: Schedule) -> tuple[Explanation, ...]:
    """The functions of a schedule that at one of its ends are not what they tend to there.

    One that has no limit that two times near the end show, such as a slope that grows without bound,
    must at least be a number there, or infinite. Ends at which alpha or sigma is zero are not tried.
    """
    if isinstance(schedule, DiscreteSchedule):
        return ()
    length = schedule.t_max - schedule.t_min
    found = []
    for end, inwards in ((schedule.t_min, length), (schedule.t_max, -length)):
        if not usable(schedule, end):
            continue
        times = float64([end, end + inwards * 2.0**-END, end + inwards * 2.0 ** -(END + 1)])
        for name in ("alpha", "sigma", "d_alpha", "d_sigma"):
            there, further, near = getattr(schedule, name)(times).tolist()
            size = max(abs(near), abs(further))
            settled = abs(near - further) <= SETTLED * size
            apart = settled and abs(there - near) > math.sqrt(SETTLED) * (size + abs(there))
            if math.isnan(there) or apart:
                at_the_end = f"{name} at an end of the schedule,"
                found.append(Explanation(at_the_end, end, near, there, AT_THE_END))
    return tuple(found)


def explain_rise(pair: TimePair) -> tuple[Explanation, ...]:
    """Why the log-SNR does not fall from s to t, or alpha or sigma is not positive."""
    schedule, times = pair.schedule, float64([pair.s, pair.t])
    for name, scale in (("alpha", schedule.alpha(times)), ("sigma", schedule.sigma(times))):
        for value, t in zip(scale.tolist(), times.tolist(), strict=True):
            if not 0 < value < math.inf:
                must = f"{name} must be positive and finite"
                return (Explanation(name, t, math.inf, value, must),)
    found = explain_schedule(schedule, pair)
    if any(explanation.quantity == "log_snr" for explanation in found):
        return found
    early, late = schedule.log_snr(times).tolist()
    why = _why_it_stands(pair) if early == late else _why_it_rises(schedule)
    after = f"log_snr after s = {pair.s:.12g},"
    return (Explanation(after, pair.t, early, late, why, relation="less than"),)


def _why_it_rises(schedule: Schedule) -> str:
    """The likely mistake, or an empty text."""
    times = places(schedule)
    early, late = schedule.log_snr(times[[0, -1]]).tolist()
    if early < late:
        return BACKWARDS
    single = (
        is_single(values) and len(values.unique()) > 1
        for values in (schedule.alpha(times), schedule.sigma(times))
    )
    return FLOAT32 if any(single) else ""


def _why_it_stands(pair: TimePair) -> str:
    """Whether it does over more than a step of float32."""
    schedule, reach = pair.schedule, FAR_APART * (pair.schedule.t_max - pair.schedule.t_min)
    here = schedule.log_snr(float64(pair.t))
    around = [t for t in (pair.s - reach, pair.t + reach) if is_time(schedule, t)]
    far = any(schedule.log_snr(float64(t)) == here for t in around)
    return STILL if far or pair.t - pair.s > reach else STEPS
