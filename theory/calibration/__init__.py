"""Calibrate a network, keep the calibration, apply it, and validate it on held-out images.

Imports every other room of ``theory``.
"""

from theory.calibration.comparison import Comparison, compare
from theory.calibration.exact import calibrate_exactly
from theory.calibration.network import Calibrated
from theory.calibration.procedure import calibrate
from theory.calibration.result import Calibration
from theory.calibration.validation import Validation, validate

__all__ = [
    "Calibrated", "Calibration", "Comparison", "Validation", "calibrate", "calibrate_exactly", "compare",
    "validate",
]  # fmt: skip
