"""The functions of a schedule, each beside what follows from alpha and sigma and what mistakes give.

f = alpha'/alpha, lambda = 2 log(alpha/sigma), g^2 = -sigma^2 lambda', A = alpha_t/alpha_s and
V = sigma_t^2 - A^2 sigma_s^2, by automatic differentiation.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from theory.diffusion.schedules import Schedule
from toy.falsifier import schedule_terms
from toy.falsifier.inverse_mistakes import inverse_mistakes, log_ratio
from toy.falsifier.other_times import other_times
from toy.falsifier.slope_mistakes import other_slopes
from toy.falsifier.sweeps import SWEPT_LOG_SNR, usable
from toy.falsifier.validation import places
from toy.judge.claim import EXACT_TOLERANCE
from toy.mixtures.mixture import float64

LEAST = 1e-6
"""Of the slope of log-SNR times the scale: smaller slopes lose digits."""

CERTAIN = 1e-3
"""An error that no right function has."""

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
        terms: of which a sum may give the values.
    """

    quantity: str
    t: Tensor
    got: Tensor
    expected: Tensor
    least: Tensor
    wrong: Mapping[str, Tensor]
    terms: Mapping[str, Tensor]

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


def of_times(schedule: Schedule, t: float) -> Iterator[Compared]:
    """Its functions of one time, at t and others."""
    times = float64([t, *resolved_times(schedule)])
    yield from _of_time(schedule, times)
    yield _of_inverse(schedule, times)


def of_transitions(schedule: Schedule, s: float, t: float) -> Iterator[Compared]:
    """Its transitions, from s to t and between others."""
    others = resolved_times(schedule)
    if s < t:
        yield from _of_transition(schedule, float64([s, *others[:-1]]), float64([t, *others[1:]]))


def resolved_times(schedule: Schedule) -> list[float]:
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


@dataclass(frozen=True)
class _Right:
    """What follows from alpha and sigma at times (n,)."""

    a: Tensor
    sigma: Tensor
    d_alpha: Tensor
    d_sigma: Tensor

    @classmethod
    def of(cls, schedule: Schedule, t: Tensor) -> "_Right":
        """At these times."""
        slopes = _slopes(schedule.alpha, t), _slopes(schedule.sigma, t)
        return cls(schedule.alpha(t), schedule.sigma(t), *slopes)

    @property
    def drift(self) -> Tensor:
        """f = alpha'/alpha."""
        return self.d_alpha / self.a

    @property
    def log_snr(self) -> Tensor:
        """lambda = 2 log(alpha/sigma)."""
        return 2 * (torch.log(self.a) - torch.log(self.sigma))

    @property
    def d_log_snr(self) -> Tensor:
        """lambda' = 2 (f - sigma'/sigma)."""
        return 2 * (self.drift - self.d_sigma / self.sigma)

    @property
    def diffusion_sq(self) -> Tensor:
        """g^2 = -sigma^2 lambda'."""
        return -(self.sigma**2) * self.d_log_snr


def _at_other_times(schedule: Schedule, t: Tensor) -> dict[str, _Right]:
    """What is right at times that these may be taken for; NaN where there are none."""
    of_each = [other_times(schedule, u) for u in t.tolist()]
    found = {}
    for name in of_each[0]:
        others = [other[name] for other in of_each]
        known = torch.tensor([u is not None for u in others])
        there = _Right.of(schedule, float64([u if u is not None else t[0].item() for u in others]))
        parts = (torch.where(known, value, math.nan) for value in vars(there).values())
        found[f"{name}, right there"] = _Right(*parts)
    return found


def _of_time(schedule: Schedule, t: Tensor) -> Iterator[Compared]:
    right = _Right.of(schedule, t)
    a, sigma, d_a, d_sigma = right.a, right.sigma, right.d_alpha, right.d_sigma
    f, log_snr, slope, g2 = right.drift, right.log_snr, right.d_log_snr, right.diffusion_sq
    least, elsewhere = LEAST * slope.abs(), _at_other_times(schedule, t)
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
            "that of a schedule that preserves variance: -alpha alpha'/sigma": -a * d_a / sigma,
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
            "the sign of the term of sigma": 2 * (f + d_sigma / sigma),
            "missing sigma: the slope of log(alpha^2)": 2 * f,
            **_general(slope, DERIVATIVE_SIGN),
        }),
        "drift": (f, least, {"missing alpha: alpha' in place of alpha'/alpha": d_a}),
        "diffusion_sq": (g2, sigma**2 * least, {
            "g for g^2": g2.abs().sqrt(),
            "sigma for sigma^2: -sigma d log-SNR/dt": -sigma * slope,
            "missing sigma^2: -d log-SNR/dt": -slope,
            "that of a schedule that preserves variance: -2 d log alpha/dt": -2 * f,
            "missing drift term -2 f sigma^2 of g^2": 2 * sigma * d_sigma,
            "the sign of the drift term -2 f sigma^2 of g^2":
                2 * sigma * d_sigma + 2 * f * sigma**2,
            **_general(g2, DERIVATIVE_SIGN),
        }),
    }  # fmt: skip
    scales = {"alpha": a, "sigma": sigma}
    slopes = {"alpha'": d_a, "sigma'": d_sigma}
    for name, (value, smallest, wrong) in expected.items():
        got = getattr(schedule, name)(t).detach()
        terms = schedule_terms.of_time(name, t, scales, slopes)
        at_others = {other: getattr(there, name) for other, there in elsewhere.items()}
        yield Compared(name, t, got, value, smallest, wrong | _general(value) | at_others, terms)


def _of_inverse(schedule: Schedule, t: Tensor) -> Compared:
    """The log-SNR of the time of a log-SNR, which alpha and sigma give: the user's own may be wrong."""
    log_snr = log_ratio(schedule.alpha(t), schedule.sigma(t))
    u = schedule.time_of(log_snr).detach()
    back = log_ratio(schedule.alpha(u), schedule.sigma(u))
    wrong = {
        "half a log-SNR: it takes log(alpha/sigma) in place of log(alpha^2/sigma^2)": 2 * log_snr,
        "factor 2: it takes twice the log-SNR": log_snr / 2,
        "the sign of log-SNR": -log_snr,
        **inverse_mistakes(schedule, t, u),
    }
    least = torch.ones_like(log_snr)
    return Compared(INVERSE, t, back, log_snr, least, wrong, {})


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
        "the variance of x_s given x_t and x_0, V sigma_s^2/sigma_t^2, in place of V": v
        * (early / late) ** 2,
    }
    nothing = torch.zeros_like(a)
    scales = {"alpha_t": a_t, "alpha_s": a_s, "sigma_t": late, "sigma_s": early}
    terms = schedule_terms.of_transitions(scales)
    yield Compared(STEP_FACTOR, t, got_a.detach(), a, nothing, wrong_a | _general(a), terms)
    yield Compared(STEP_VARIANCE, t, got_v.detach(), v, nothing, wrong_v | _general(v), terms)


def _slopes(value: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    t = t.clone().requires_grad_()
    (slopes,) = torch.autograd.grad((value(t) + 0 * t).sum(), t)
    return slopes
