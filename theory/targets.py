"""Prediction targets, by their short path; they live in ``theory.diffusion.targets``."""

from theory.diffusion.targets import *  # noqa: F403
