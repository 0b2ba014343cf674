"""Prediction targets by their short path; they live in ``theory.diffusion.targets``."""

from theory.diffusion.targets import (
    DATA,
    EDM_RAW,
    FLOW,
    NAMED,
    NOISE,
    SCORE,
    VELOCITY,
    Target,
    convert,
    data_and_noise,
    edm_raw,
    named,
    shift_factor,
)

__all__ = [
    "DATA", "EDM_RAW", "FLOW", "NAMED", "NOISE", "SCORE", "VELOCITY", "Target", "convert",
    "data_and_noise", "edm_raw", "named", "shift_factor",
]  # fmt: skip
