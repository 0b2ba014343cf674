"""The mathematics: schedules, targets, proofs, bounds, estimators, calibration, validation.

    from theory import calibrate, Calibrated, validate

Names are loaded when they are first asked for, so that the programs answer at once.
"""

from theory.support.public_names import lazy_names

__version__ = "0.2.0"

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Calibrated": "theory.calibration",
        "Calibration": "theory.calibration",
        "Comparison": "theory.calibration",
        "Validation": "theory.calibration",
        "calibrate": "theory.calibration",
        "calibrate_exactly": "theory.calibration",
        "compare": "theory.calibration",
        "validate": "theory.calibration",
        "DataLaw": "theory.sampling",
        "FittedSolver": "theory.sampling",
        "Flow": "theory.sampling",
        "fit_solver": "theory.sampling",
        "Network": "theory.forward.network",
        "Goal": "theory.statistics.neyman_allocation",
        "InputError": "theory.support.errors",
        "DiscreteSchedule": "theory.diffusion.schedules",
        "DataRange": "theory.diffusion.data_range",
        "EDM": "theory.diffusion.schedules",
        "RectifiedFlow": "theory.diffusion.schedules",
        "Schedule": "theory.diffusion.schedules",
        "SubVP": "theory.diffusion.schedules",
        "VEGeometric": "theory.diffusion.schedules",
        "VPCosine": "theory.diffusion.schedules",
        "VPLinear": "theory.diffusion.schedules",
        "Target": "theory.diffusion.targets",
    },
)
