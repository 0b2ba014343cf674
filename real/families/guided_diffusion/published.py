"""The published networks of improved-diffusion and guided-diffusion (their READMEs)."""

from collections.abc import Mapping
from typing import Any

from real.families.guided_diffusion.unet import GuidedArchitecture
from real.families.sidecar_settings import Preset

COSINE_4000 = {"schedule": "cosine", "diffusion_steps": 4000, "num_heads": 4}
RESCALED = {**COSINE_4000, "rescale_timesteps": True}
LINEAR = {"schedule": "linear"}
LINEAR_WIDE_HEADS = {"schedule": "linear", "num_head_channels": 64}
AT_64 = (1, 2, 3, 4)
AT_256 = (1, 1, 2, 2, 4, 4)
AT_512 = (0.5, 1, 1, 2, 2, 4, 4)


def _improved(
    size: int, width: int, multipliers: tuple[int, ...], blocks: int, attention: tuple[int, ...],
    settings: Mapping[str, Any], *, scale_shift: bool = True, classes: int | None = None,
) -> Preset:  # fmt: skip
    architecture = GuidedArchitecture(
        3, 6, width, multipliers, blocks, attention, classes, scale_shift, resampling_blocks=False
    )
    return Preset(architecture, {"image_size": size, **settings})


def _guided(
    size: int, width: int, multipliers: tuple[int | float, ...], blocks: int, classes: int | None,
    settings: Mapping[str, Any],
) -> Preset:  # fmt: skip
    attention = tuple(level for level in range(len(multipliers)) if size >> level in (32, 16, 8))
    architecture = GuidedArchitecture(
        3, 6, width, multipliers, blocks, attention, classes,
        scale_shift=True, resampling_blocks=True,
    )  # fmt: skip
    return Preset(architecture, {"image_size": size, **settings})


PRESETS = (
    _improved(32, 128, (1, 2, 2, 2), 3, (1, 2), RESCALED),
    _improved(64, 128, AT_64, 3, (2, 3), RESCALED),
    _improved(
        64, 192, AT_64, 3, (2, 3), {**COSINE_4000, "rescale_timesteps": False}, classes=1000
    ),
    _improved(256, 128, AT_256, 2, (4,), {**LINEAR, "num_heads": 1}, scale_shift=False),
    _guided(
        64, 192, AT_64, 3, 1000,
        {"schedule": "cosine", "num_head_channels": 64, "use_new_attention_order": True},
    ),
    _guided(128, 256, (1, 1, 2, 3, 4), 2, 1000, {**LINEAR, "num_heads": 4}),
    _guided(256, 256, AT_256, 2, 1000, LINEAR_WIDE_HEADS),
    _guided(256, 256, AT_256, 2, None, LINEAR_WIDE_HEADS),
    _guided(512, 256, AT_512, 2, 1000, LINEAR_WIDE_HEADS),
)  # fmt: skip
