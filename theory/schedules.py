"""Noise schedules, by their short path; they live in ``theory.diffusion.schedules``."""

from theory.diffusion.schedules import *  # noqa: F403
