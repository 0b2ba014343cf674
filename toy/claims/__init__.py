"""Claim families, each with its mutants. ``ALL`` is every claim, in the order of the theory."""

from toy.claims import (
    calibration,
    chains,
    concentration,
    coverage,
    denoising,
    dynamics,
    energy,
    estimation,
    extremes,
    fields,
    guidance,
    likelihood,
    martingale,
    sampling,
    schedules,
    stopping,
    tower,
)
from toy.claims.base import Claim

ALL: tuple[Claim, ...] = (
    *schedules.CLAIMS,
    *martingale.CLAIMS,
    *sampling.CLAIMS,
    *concentration.CLAIMS,
    *stopping.CLAIMS,
    *calibration.CLAIMS,
    *estimation.CLAIMS,
    *coverage.CLAIMS,
    *denoising.CLAIMS,
    *guidance.CLAIMS,
    *fields.CLAIMS,
    *likelihood.CLAIMS,
    *dynamics.CLAIMS,
    *chains.CLAIMS,
    *tower.CLAIMS,
    *energy.CLAIMS,
    *extremes.CLAIMS,
)
