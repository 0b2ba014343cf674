"""Claim families, each with its mutants. ``ALL`` is every claim, in the order of the theory."""

from toy.claims import calibration, martingale, sampling, schedules
from toy.claims.base import Claim

ALL: tuple[Claim, ...] = (
    *schedules.CLAIMS,
    *martingale.CLAIMS,
    *sampling.CLAIMS,
    *calibration.CLAIMS,
)
