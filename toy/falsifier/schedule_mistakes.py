"""What is wrong with a schedule: which of its functions disagrees with alpha and sigma, and how.

alpha and sigma are taken as they are. The rest follows from them by automatic differentiation:
f = alpha'/alpha, lambda = 2 log(alpha/sigma), g^2 = -sigma^2 lambda', A = alpha_t/alpha_s and
V = sigma_t^2 - A^2 sigma_s^2.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from theory.diffusion.schedules import DiscreteSchedule, Schedule
from toy.falsifier.inverse_mistakes import inverse_mistakes
from toy.falsifier.mistakes import (
    AGREES,
    FLOAT32,
    constant_factor,
    explaining,
    is_rounding,
    is_single,
)
from toy.falsifier.scales import held_squares
from toy.falsifier.slope_mistakes import difference_quotient, other_slopes
from toy.falsifier.sweeps import SWEPT_LOG_SNR, is_time, usable
from toy.falsifier.user_cases import times_of
from toy.falsifier.validation import places
from toy.falsifier.where import one_sided
from toy.judge.claim import EXACT_TOLERANCE
from toy.judge.evidence import Explanation
from toy.mixtures.mixture import float64
from toy.strategies.time_pairs import TimePair

LEAST = 1e-6
"""Of the slope of log-SNR times the scale: smaller slopes lose digits."""

OF_ANOTHER = (
    "d_alpha and d_sigma fit each other, so that either both are those of another schedule, or alpha and "
    "sigma are"
)
NEGLIGIBLE = 1e-9
"""Share of the largest value below which values are not compared with those of mistakes."""

CERTAIN = 1e-3
"""An error that no right function has."""

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
DERIVATIVE_SIGN = "the sign of d log-SNR"
INVERSE = "log_snr(time_of(log_snr(t)))"
STEP_FACTOR, STEP_VARIANCE = "A of transition(s, t)", "V of transition(s, t)"


@dataclass(frozen=True)
class Compared:
    """A function of a schedule at the counterexample's time, first, and at others.

    Attributes:
        quantity: its name.
        t: those times, (n,).
        got, expected: its values, (n,).
        least: below which a value is no more accurate, (n,).
        wrong: the values that each known mistake gives.
    """

    quantity: str
    t: Tensor
    got: Tensor
    expected: Tensor
    least: Tensor
    wrong: Mapping[str, Tensor]

    def errors(self) -> Tensor:
        """|got - expected| relative to the larger of the two, (n,)."""
        size = torch.maximum(self.got.abs(), self.expected.abs())
        errors = (self.got - self.expected).abs() / torch.maximum(size, self.least)
        return torch.where(self.got == self.expected, 0.0, errors).nan_to_num(nan=math.inf)

    def differs(self, elsewhere: bool) -> int | None:
        """Where it differs: at the counterexample's time, or else, if asked, where it certainly does."""
        errors = self.errors()
        if not errors[0] <= EXACT_TOLERANCE:
            return 0
        worst = int(errors.argmax())
        return worst if elsewhere and errors[worst] > CERTAIN else None

    def explanation(self, schedule: Schedule, k: int) -> Explanation:
        """Of what differs at the time of this index."""
        mistake = self._mistake(schedule, k)
        wrong = ~(self.errors() <= EXACT_TOLERANCE)
        where = "" if mistake else one_sided("t", self.t, wrong, fewest=1)
        t, expected, got = (values[k].item() for values in (self.t, self.expected, self.got))
        return Explanation(self.quantity, t, expected, got, mistake, where)

    def _mistake(self, schedule: Schedule, k: int) -> str:
        """The likely one, or an empty text."""
        known, is_slope = self.expected.isfinite(), self.quantity in SCALES
        if is_slope and (step := self._difference_quotient(schedule)):
            return step
        if is_rounding(self.errors()[known], self.got, schedule):
            return FLOAT32
        sized = self.expected.abs() > NEGLIGIBLE * self.expected[known].abs().max()
        of_sized = {name: values[sized] for name, values in self.wrong.items()}
        if mistake := explaining(self.got[sized], of_sized):
            return mistake
        if is_slope and self.expected[k] == 0:
            return STILL
        factor = constant_factor(self.got[known], self.expected[known])
        if factor and is_slope and ":" not in factor:
            factor += ": the inner derivative (chain rule)?"
        return factor or held_squares(schedule) or (_fit_each_other(schedule) if is_slope else "")

    def _difference_quotient(self, schedule: Schedule) -> str:
        of = getattr(schedule, SCALES[self.quantity])
        return difference_quotient(of, schedule, self.t, self.got, self.expected)


def _fit_each_other(schedule: Schedule) -> str:
    """Whether both slopes are wrong in the way of another schedule, if alpha^2 + sigma^2 is one."""
    t = float64(_others(schedule))
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
    of_times = [_of_times(schedule, t) for t in (pair.t, pair.s)]
    found: dict[str, Explanation] = {}
    for found_there in [*of_times, _of_transitions(schedule, pair.s, pair.t)]:
        for compared in found_there:
            name = compared.quantity
            written = _is_written(schedule, name)
            k = compared.differs(elsewhere=written)
            if k is not None and name not in found and (not found or written):
                found[name] = compared.explanation(schedule, k)
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


def comparisons(schedule: Schedule, s: float, t: float) -> Iterator[Compared]:
    """Every function of the schedule against what follows from alpha and sigma."""
    yield from _of_times(schedule, t)
    yield from _of_transitions(schedule, s, t)


def _of_times(schedule: Schedule, t: float) -> Iterator[Compared]:
    """Its functions of one time, at t and others."""
    times = float64([t, *_others(schedule)])
    yield from _of_time(schedule, times)
    yield _of_inverse(schedule, times)


def _of_transitions(schedule: Schedule, s: float, t: float) -> Iterator[Compared]:
    others = _others(schedule)
    if s < t:
        yield from _of_transition(schedule, float64([s, *others[:-1]]), float64([t, *others[1:]]))


def _others(schedule: Schedule) -> list[float]:
    """Times at which the values of a right schedule have many digits."""
    times = [u for u in places(schedule).tolist() if usable(schedule, u)]
    log_snr = 2 * (schedule.alpha(float64(times)) / schedule.sigma(float64(times))).log()
    resolved = (log_snr.abs() <= SWEPT_LOG_SNR).tolist()
    return [u for u, fine in zip(times, resolved, strict=True) if fine]


def _general(value: Tensor, sign: str = "the sign") -> dict[str, Tensor]:
    return {
        sign: -value,
        "factor 2: twice what it should be": 2 * value,
        "factor 2: half of what it should be": value / 2,
    }


def _of_time(schedule: Schedule, t: Tensor) -> Iterator[Compared]:
    a, sigma = schedule.alpha(t), schedule.sigma(t)
    d_a, d_sigma = _slopes(schedule.alpha, t), _slopes(schedule.sigma, t)
    f, log_snr = d_a / a, 2 * (torch.log(a) - torch.log(sigma))
    slope = 2 * (f - d_sigma / sigma)
    g2, least = -(sigma**2) * slope, LEAST * slope.abs()
    expected: dict[str, tuple[Tensor, Tensor, dict[str, Tensor]]] = {
        "d_alpha": (d_a, a * least, {
            "missing alpha: alpha'/alpha in place of alpha'": f,
            "alpha for alpha^2: the derivative of alpha^2": 2 * a * d_a,
            "alpha(t) holds alpha^2, of whose square root this is the slope":
                d_a / (2 * a.sqrt()),
            "exchanged: it is d_sigma": d_sigma,
            "it is the slope of sqrt(1 - sigma^2), which alpha(t) is not":
                -sigma * d_sigma / (1 - sigma**2).sqrt(),
            **other_slopes("d_alpha", t),
        }),
        "d_sigma": (d_sigma, sigma * least, {
            "sigma for sigma^2: the derivative of sigma^2": 2 * sigma * d_sigma,
            "sigma(t) holds sigma^2, of whose square root this is the slope":
                d_sigma / (2 * sigma.sqrt()),
            "exchanged: it is d_alpha": d_a,
            "it is the slope of sqrt(1 - alpha^2), which sigma(t) is not":
                -a * d_a / (1 - a**2).sqrt(),
            **other_slopes("d_sigma", t),
            "missing sigma: sigma'/sigma in place of sigma'": d_sigma / sigma,
            "missing sigma: sigma sigma' in place of sigma'": d_sigma * sigma,
        }),
        "log_snr": (log_snr, 1 + log_snr.abs(), {
            "half a log-SNR: log(alpha/sigma) in place of log(alpha^2/sigma^2)": log_snr / 2,
            "sigma for sigma^2: log(alpha^2/sigma)": log_snr + torch.log(sigma),
            "alpha for alpha^2: log(alpha/sigma^2)": log_snr - torch.log(a),
            "missing alpha: -log(sigma^2)": -2 * torch.log(sigma),
            "the sign of log-SNR: log(sigma^2/alpha^2)": -log_snr,
        }),
        "d_log_snr": (slope, least, {
            "factor 2: the slope of log(alpha/sigma)": slope / 2,
            "missing alpha: the slope of -log(sigma^2)": -2 * d_sigma / sigma,
            "missing sigma: the slope of log(alpha^2)": 2 * f,
            **_general(slope, DERIVATIVE_SIGN),
        }),
        "drift": (f, least, {"missing alpha: alpha' in place of alpha'/alpha": d_a}),
        "diffusion_sq": (g2, sigma**2 * least, {
            "g for g^2": g2.abs().sqrt(),
            "sigma for sigma^2: -sigma d log-SNR/dt": -sigma * slope,
            "missing sigma^2: -d log-SNR/dt": -slope,
            "missing drift term -2 f sigma^2 of g^2": 2 * sigma * d_sigma,
            "the sign of the drift term -2 f sigma^2 of g^2":
                2 * sigma * d_sigma + 2 * f * sigma**2,
            **_general(g2, DERIVATIVE_SIGN),
        }),
    }  # fmt: skip
    for name, (value, smallest, wrong) in expected.items():
        got = getattr(schedule, name)(t).detach()
        yield Compared(name, t, got, value, smallest, wrong | _general(value))


def _of_inverse(schedule: Schedule, t: Tensor) -> Compared:
    """The log-SNR of the time of a log-SNR."""
    log_snr = schedule.log_snr(t)
    u = schedule.time_of(log_snr).detach()
    back = schedule.log_snr(u)
    wrong = {
        "half a log-SNR: it takes log(alpha/sigma) in place of log(alpha^2/sigma^2)": 2 * log_snr,
        "factor 2: it takes twice the log-SNR": log_snr / 2,
        "the sign of log-SNR": -log_snr,
        **inverse_mistakes(schedule, t, u),
    }
    least = torch.ones_like(log_snr)
    return Compared(INVERSE, t, back, log_snr, least, wrong)


def _of_transition(schedule: Schedule, s: Tensor, t: Tensor) -> Iterator[Compared]:
    got_a, got_v = schedule.transition(s, t)
    (a_s, a_t), (early, late) = (
        (function(s), function(t)) for function in (schedule.alpha, schedule.sigma)
    )
    a = a_t / a_s
    v = -(late**2) * torch.expm1(2 * (torch.log(a) - torch.log(late / early)))
    wrong_a = {
        "missing alpha: alpha_t in place of alpha_t/alpha_s": a_t,
        "missing alpha: 1 in place of alpha_t/alpha_s": torch.ones_like(a),
        "alpha^2 for alpha": a**2,
        "s and t are exchanged": 1 / a,
    }
    wrong_v = {
        "sigma for sigma^2: the standard deviation in place of the variance": v.abs().sqrt(),
        "missing alpha: sigma_t^2 - sigma_s^2": late**2 - early**2,
        "alpha for alpha^2: A in place of A^2": late**2 - a * early**2,
        "missing -A^2 sigma_s^2": late**2,
    }
    nothing = torch.zeros_like(a)
    yield Compared(STEP_FACTOR, t, got_a.detach(), a, nothing, wrong_a | _general(a))
    yield Compared(STEP_VARIANCE, t, got_v.detach(), v, nothing, wrong_v | _general(v))


def _slopes(value: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    t = t.clone().requires_grad_()
    (slopes,) = torch.autograd.grad((value(t) + 0 * t).sum(), t)
    return slopes
