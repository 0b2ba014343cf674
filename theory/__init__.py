"""The mathematics: schedules, targets, proofs, bounds, estimators, calibration, validation.

    from theory import calibrate, Calibrated, validate

Names are loaded when they are first asked for, so that the programs answer at once.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_HOME = {
    "Calibrated": "theory.calibration",
    "Calibration": "theory.calibration",
    "Validation": "theory.calibration",
    "calibrate": "theory.calibration",
    "validate": "theory.calibration",
    "Goal": "theory.statistics.neyman_allocation",
    "InputError": "theory.support.errors",
    "DiscreteSchedule": "theory.diffusion.schedules",
    "EDM": "theory.diffusion.schedules",
    "RectifiedFlow": "theory.diffusion.schedules",
    "Schedule": "theory.diffusion.schedules",
    "SubVP": "theory.diffusion.schedules",
    "VEGeometric": "theory.diffusion.schedules",
    "VPCosine": "theory.diffusion.schedules",
    "VPLinear": "theory.diffusion.schedules",
    "Target": "theory.diffusion.targets",
}
"""The module that each public name lives in."""

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
