"""Noise schedules by their short path; they live in ``theory.diffusion.schedules``."""

from theory.diffusion.schedules import (
    EDM,
    GRID_LOG_SNR,
    NAMED,
    DiscreteSchedule,
    RectifiedFlow,
    Schedule,
    SubVP,
    Times,
    VarianceExploding,
    VariancePreserving,
    VEGeometric,
    VPCosine,
    VPLinear,
    from_description,
    require_storable,
)

__all__ = [
    "EDM", "GRID_LOG_SNR", "NAMED", "DiscreteSchedule", "RectifiedFlow", "Schedule", "SubVP",
    "Times", "VEGeometric", "VPCosine", "VPLinear", "VarianceExploding", "VariancePreserving",
    "from_description", "require_storable",
]  # fmt: skip
