"""Calibrate a network, keep the calibration, apply it, validate it.

Imports every other room of ``theory``; this file is its face.
"""

from theory.calibration.procedure import calibrate, conclude, prepare
from theory.calibration.result import Calibrated, Calibration
from theory.calibration.validation import Validation, validate

__all__ = [
    "Calibrated",
    "Calibration",
    "Validation",
    "calibrate",
    "conclude",
    "prepare",
    "validate",
]
