"""The claims that a user's schedule is tried on.

Claims on schedules are tried at random times and at times swept over the whole schedule. Every other
claim whose cases have a schedule is tried on its own cases, moved to this one.
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from hypothesis import strategies as st

from theory.diffusion.schedules import Schedule
from toy.claims import (
    calibration,
    denoising,
    derivative_tower,
    energy,
    euler_maruyama,
    first_order,
    guidance,
    likelihood,
    martingale,
    maximal_inequalities,
    mixture_chains,
    reverse_variance,
    schedules,
    tilting,
)
from toy.claims.table import ALL
from toy.falsifier.rounding import rounder_cases
from toy.falsifier.schedule_mistakes import explain_ends, explain_rise, explain_schedule
from toy.falsifier.sweeps import SweptClaim, log_snr_grid, neighbouring_pairs
from toy.falsifier.user_cases import ends_of_parts, moved_to_schedule, times_found
from toy.judge.claim import Claim, ExactClaim
from toy.judge.verdicts import NotTried
from toy.mixtures.mixture import float64
from toy.strategies.time_pairs import TimePair

OWN = ("derivatives", "log-snr", "inverse", "transitions")
"""The claims on schedules whose case is two times."""

WITHOUT_SCHEDULE = ("tilt", "tilt-refused")
OF_CURVES = ("amortized",)
"""Claims that fit polynomials over the schedule's grid, which must have enough times."""

CURVE = 24, 6
"""Times that such a grid is asked for, and up to how many are too few."""

FAMILIES = (
    schedules, martingale, derivative_tower, energy, maximal_inequalities, calibration, denoising,
    guidance, tilting, first_order, reverse_variance,
)  # fmt: skip
SMOOTH_FAMILIES = (likelihood, euler_maruyama, mixture_chains)
"""Their limits are found by extrapolation, or by few nodes over time, which corners would spoil."""

SHARE = 0.25
"""Of the cases, for claims that are not on schedules."""

TO_RESOLVE = 0.25
DEGREE, ROUGH = 14, 1e-9
"""A schedule is smooth where polynomials of this degree give log alpha and log sigma so well."""


@dataclass(frozen=True)
class Stage:
    """Claims that are tried together, and those that cannot be tried on what a user brought."""

    claims: tuple[Claim, ...]
    left_out: tuple[NotTried, ...] = ()


def decreasing_error(pair: TimePair) -> float:
    """0 if alpha and sigma are positive and finite and the log-SNR falls from s to t, else infinite."""
    schedule, times = pair.schedule, float64([pair.s, pair.t])
    scales = torch.stack([schedule.alpha(times), schedule.sigma(times)])
    log_snr = schedule.log_snr(times)
    fine = bool((scales > 0).all() and scales.isfinite().all() and log_snr[1] < log_snr[0])
    return 0.0 if fine else math.inf


def monotone_claims(schedule: Schedule) -> tuple[Claim, ...]:
    """The claim that every other one presupposes: the log-SNR falls."""
    claim = ExactClaim(
        "decreasing", "0", "alpha, sigma > 0 and the log-SNR falls",
        ends_of_parts(schedule), decreasing_error, (),
    )  # fmt: skip
    return (_swept(replace(claim, explains=explain_rise), schedule),)


def consistency_claims(schedule: Schedule) -> tuple[Claim, ...]:
    """The claims that its functions agree with alpha and sigma, between its ends and at them."""
    strategy = times_found(schedule)
    within = tuple(
        _swept(
            replace(
                claim, strategy=strategy, mutants=(), explains=partial(explain_schedule, schedule)
            ),
            schedule,
        )
        for claim in schedules.CLAIMS
        if claim.id in OWN
    )
    ends = ExactClaim(
        "ends", "0", "alpha, sigma and their slopes are what they tend to at the ends",
        st.just(TimePair(schedule, schedule.t_min, schedule.t_max)), ends_error, (),
        explains=lambda pair: explain_ends(pair.schedule),
    )  # fmt: skip
    return *within, ends


def ends_error(pair: TimePair) -> float:
    """0 if ``explain_ends`` finds nothing at the ends of the schedule, else infinite."""
    return math.inf if explain_ends(pair.schedule) else 0.0


def _swept(claim: ExactClaim, schedule: Schedule) -> SweptClaim:
    return SweptClaim(
        **vars(claim),
        sweep=lambda seed: (
            (claim.error(pair), pair) for pair in neighbouring_pairs(schedule, seed)
        ),
        simpler=partial(rounder_cases, schedule=schedule),
    )


def other_claims(schedule: Schedule) -> Stage:
    """Every other exact claim whose cases have a schedule, but those that this one cannot be tried on."""
    asked, too_few = CURVE
    on_curves = OF_CURVES if len(schedule.grid(asked)) <= too_few else ()
    smooth, left_out = _is_smooth(schedule), []
    if not smooth:
        rough = len(_exact_claims(SMOOTH_FAMILIES))
        left_out.append(NotTried(rough, "they suppose a smooth schedule, which this one is not"))
    families = FAMILIES + (SMOOTH_FAMILIES if smooth else ())
    found = [claim for claim in _exact_claims(families) if claim.id not in on_curves]
    if on_curves:
        left_out.append(NotTried(len(on_curves), "the schedule has too few times"))
    without = len(ALL) - len(OWN) - len(_exact_claims(FAMILIES + SMOOTH_FAMILIES))
    left_out.append(NotTried(without, "their cases take no schedule of your own"))
    return Stage(tuple(claim_on_schedule(claim, schedule) for claim in found), tuple(left_out))


def _exact_claims(families: tuple[Any, ...]) -> list[ExactClaim]:
    """The exact claims of these families whose cases have a schedule, but those of ``OWN``."""
    return [
        claim
        for family in families
        for claim in family.CLAIMS
        if isinstance(claim, ExactClaim) and claim.id not in OWN + WITHOUT_SCHEDULE
    ]


def claim_on_schedule(claim: ExactClaim, schedule: Schedule) -> ExactClaim:
    """The claim on its own cases, moved to the schedule."""
    moved = replace(
        claim,
        strategy=moved_to_schedule(claim.strategy, schedule),
        mutants=(),
        always=(),
        share=SHARE * claim.share,
        to_resolve=TO_RESOLVE,
        explains=partial(explain_schedule, schedule),
    )
    return SweptClaim(**vars(moved), simpler=partial(rounder_cases, schedule=schedule))


def _is_smooth(schedule: Schedule) -> bool:
    """Whether log alpha and log sigma are nearly polynomials over short intervals of log-SNR."""
    times = log_snr_grid(schedule)
    return all(_roughness(schedule, s, t) <= ROUGH for s, t in pairwise(times))


def _roughness(schedule: Schedule, s: float, t: float) -> float:
    """Largest error, at as many other points, of polynomials fitted at Chebyshev's nodes."""
    angles = torch.arange(2 * DEGREE + 1, dtype=torch.float64) * (math.pi / (2 * DEGREE))
    places = torch.cos(angles)
    times = (s + t) / 2 + (t - s) / 2 * places
    values = torch.stack([torch.log(schedule.alpha(times)), torch.log(schedule.sigma(times))], 1)
    basis = torch.cos(angles[:, None] * torch.arange(DEGREE + 1, dtype=torch.float64))
    fitted = torch.linalg.lstsq(basis[::2], values[::2]).solution
    return (basis[1::2] @ fitted - values[1::2]).abs().max().item()
