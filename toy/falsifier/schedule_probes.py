"""The claims that a schedule which a user brings is held against.

Those on schedules are also tried at times swept over all of it. Every other claim whose cases have a
schedule is tried on its own cases, moved to this one.
"""

import math
from dataclasses import replace
from itertools import pairwise

import torch

from theory.diffusion.schedules import Schedule
from toy.claims import (
    calibration,
    chains,
    concentration,
    denoising,
    dynamics,
    energy,
    fields,
    first_order,
    guidance,
    likelihood,
    martingale,
    reverse_variance,
    schedules,
    tower,
)
from toy.falsifier import sweeps
from toy.falsifier import user_cases as probes
from toy.falsifier.sweeps import SweptClaim
from toy.judge.claim import Claim, ExactClaim
from toy.strategies.mixtures import TimePair

OWN = ("derivatives", "log-snr", "inverse", "transitions")
"""The claims on schedules whose case is two times."""

WITHOUT_SCHEDULE = ("tilt", "tilt-refused")
OF_CURVES = ("amortized",)
"""Which fit polynomials over the schedule's grid, and need as many times."""

CURVE = 24, 6
"""Times of such a grid, and how many of them there must be at least."""

FAMILIES = (
    schedules, martingale, tower, energy, concentration, calibration, denoising, guidance, fields,
    first_order, reverse_variance,
)  # fmt: skip
SMOOTH_FAMILIES = (likelihood, dynamics, chains)
"""Whose limits are found by extrapolation, or by few nodes over time: corners would spoil them."""

SHARE = 0.25
"""Of the cases, for claims that are not on schedules."""

TO_RESOLVE = 0.25
DEGREE, ROUGH = 14, 1e-9
"""A schedule is smooth where polynomials of this degree give log alpha and log sigma so well."""


def decreasing_error(pair: TimePair) -> float:
    """0 where alpha, sigma > 0 are finite and the log-SNR falls from s to t, else infinite."""
    schedule, times = pair.schedule, torch.tensor([pair.s, pair.t], dtype=torch.float64)
    scales = torch.stack([schedule.alpha(times), schedule.sigma(times)])
    log_snr = schedule.log_snr(times)
    fine = bool((scales > 0).all() and scales.isfinite().all() and log_snr[1] < log_snr[0])
    return 0.0 if fine else math.inf


def decreasing(schedule: Schedule) -> tuple[Claim, ...]:
    """What every other claim presupposes."""
    claim = ExactClaim(
        "decreasing", "0", "alpha, sigma > 0 and the log-SNR falls",
        probes.times_between(schedule), decreasing_error, (),
    )  # fmt: skip
    return (_swept(claim, schedule),)


def own(schedule: Schedule) -> tuple[Claim, ...]:
    """That its functions agree with alpha and sigma, at random times and swept."""
    strategy = probes.times_found(schedule)
    return tuple(
        _swept(replace(claim, strategy=strategy, mutants=()), schedule)
        for claim in schedules.CLAIMS
        if claim.id in OWN
    )


def _swept(claim: ExactClaim, schedule: Schedule) -> SweptClaim:
    return SweptClaim(
        **vars(claim),
        sweep=lambda seed: ((claim.error(pair), pair) for pair in sweeps.pairs(schedule, seed)),
        simpler=sweeps.rounder_pairs,
    )


def of_families(schedule: Schedule) -> tuple[Claim, ...]:
    """Every exact claim whose cases have a schedule, on cases with this one."""
    families = FAMILIES + (SMOOTH_FAMILIES if _is_smooth(schedule) else ())
    asked, least = CURVE
    left_out = OWN + WITHOUT_SCHEDULE + (OF_CURVES if len(schedule.grid(asked)) <= least else ())
    return tuple(
        on_schedule(claim, schedule)
        for family in families
        for claim in family.CLAIMS
        if isinstance(claim, ExactClaim) and claim.id not in left_out
    )


def on_schedule(claim: ExactClaim, schedule: Schedule) -> ExactClaim:
    """The claim on its own cases, moved to the schedule."""
    return replace(
        claim,
        strategy=probes.on_schedule(claim.strategy, schedule),
        mutants=(),
        always=(),
        share=SHARE * claim.share,
        to_resolve=TO_RESOLVE,
    )


def _is_smooth(schedule: Schedule) -> bool:
    """Whether log alpha and log sigma are polynomials, nearly, between neighbours of the log-SNR."""
    times = sweeps.log_snr_grid(schedule)
    return all(_roughness(schedule, s, t) <= ROUGH for s, t in pairwise(times))


def _roughness(schedule: Schedule, s: float, t: float) -> float:
    """Largest error of the polynomials through Chebyshev's nodes, at as many other points."""
    angles = torch.arange(2 * DEGREE + 1, dtype=torch.float64) * (math.pi / (2 * DEGREE))
    places = torch.cos(angles)
    times = (s + t) / 2 + (t - s) / 2 * places
    values = torch.stack([torch.log(schedule.alpha(times)), torch.log(schedule.sigma(times))], 1)
    basis = torch.cos(angles[:, None] * torch.arange(DEGREE + 1, dtype=torch.float64))
    fitted = torch.linalg.lstsq(basis[::2], values[::2]).solution
    return (basis[1::2] @ fitted - values[1::2]).abs().max().item()
