"""What a state file does not hold: from the JSON beside it, or from a published network like it.

Names are those of the upstream programs: image_size, num_heads, num_head_channels,
num_heads_upsample, use_new_attention_order, diffusion_steps, rescale_timesteps; ``schedule`` is
linear or cosine, ``betas`` a table in its place, ``prediction`` the name of a target.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from real.families.checkpoint import Source
from real.families.ddpm_adm import ddpm_unet, guided_unet
from theory.support.errors import InputError

Architecture = ddpm_unet.Architecture | guided_unet.Architecture
Settings = Mapping[str, Any]
Needed = Sequence[Sequence[str]]
"""Settings that must be known; of each group, one."""

NOT_GIVEN = (None, -1)
LARGEST_SIDE = 2**13
"""Of images, in pixels."""

SAME = {"size": "image_size"}
UNORDERED = ("attn", "attention_resolutions")


@dataclass(frozen=True)
class Preset:
    """A published network: what its shapes tell, and what they do not."""

    architecture: Architecture
    settings: Settings


def _ddpm(image_size: int, multipliers: tuple[int, ...], attention: int) -> Preset:
    architecture = ddpm_unet.Architecture(3, 3, 128, multipliers, 2, (attention,))
    return Preset(architecture, {"image_size": image_size})


def _improved(
    image_size: int, width: int, multipliers: tuple[int, ...], blocks: int,
    attention: tuple[int, ...], settings: Settings, *,
    scale_shift: bool = True, classes: int | None = None,
) -> Preset:  # fmt: skip
    architecture = guided_unet.Architecture(
        3, 6, width, multipliers, blocks, attention, classes, scale_shift, resampling_blocks=False
    )
    return Preset(architecture, {"image_size": image_size, **settings})


def _guided(
    image_size: int, width: int, multipliers: tuple[int | float, ...], blocks: int,
    classes: int | None, settings: Settings,
) -> Preset:  # fmt: skip
    attention = tuple(
        level for level in range(len(multipliers)) if image_size >> level in (32, 16, 8)
    )
    architecture = guided_unet.Architecture(
        3, 6, width, multipliers, blocks, attention, classes,
        scale_shift=True, resampling_blocks=True,
    )  # fmt: skip
    return Preset(architecture, {"image_size": image_size, **settings})


COSINE_4000: Settings = {"schedule": "cosine", "diffusion_steps": 4000, "num_heads": 4}
RESCALED: Settings = {**COSINE_4000, "rescale_timesteps": True}
LINEAR: Settings = {"schedule": "linear"}
WIDE_HEADS: Settings = {"num_head_channels": 64}
AT_64 = (1, 2, 3, 4)
AT_256 = (1, 1, 2, 2, 4, 4)
AT_512 = (0.5, 1, 1, 2, 2, 4, 4)

PRESETS = (
    _ddpm(32, (1, 2, 2, 2), 1),
    _ddpm(64, (1, 2, 2, 2, 2), 2),
    _ddpm(256, AT_256, 4),
    _improved(32, 128, (1, 2, 2, 2), 3, (1, 2), RESCALED),
    _improved(64, 128, AT_64, 3, (2, 3), RESCALED),
    _improved(
        64, 192, AT_64, 3, (2, 3), {**COSINE_4000, "rescale_timesteps": False}, classes=1000
    ),
    _improved(256, 128, AT_256, 2, (4,), {**LINEAR, "num_heads": 1}, scale_shift=False),
    _guided(
        64, 192, AT_64, 3, 1000,
        {**WIDE_HEADS, "schedule": "cosine", "use_new_attention_order": True},
    ),
    _guided(128, 256, (1, 1, 2, 3, 4), 2, 1000, {**LINEAR, "num_heads": 4}),
    _guided(256, 256, AT_256, 2, 1000, {**LINEAR, **WIDE_HEADS}),
    _guided(256, 256, AT_256, 2, None, {**LINEAR, **WIDE_HEADS}),
    _guided(512, 256, AT_512, 2, 1000, {**LINEAR, **WIDE_HEADS}),
)  # fmt: skip
"""The networks of DDPM and DDIM, improved-diffusion (README) and guided-diffusion (README)."""


def settings(source: Source, architecture: Architecture, needed: Needed) -> dict[str, Any]:
    """What is known of a network beyond its shapes; the JSON beside it goes before the preset.

    Raises:
        InputError: something needed is in neither; the message names it.
    """
    preset = next((p.settings for p in PRESETS if p.architecture == architecture), {})
    known = {**preset, **told(source)}
    missing = [" or ".join(names) for names in needed if not set(names) & set(known)]
    if missing:
        raise InputError(
            f"checkpoint: {source.reference} does not hold {', '.join(missing)}: it has the shapes "
            f"of no published network, and expected these in "
            f"{source.path.with_suffix('.json').name} beside it"
        )
    return known


def told(source: Source) -> dict[str, Any]:
    """What the JSON beside a file says: its own entries, and those of ``config`` and ``kwargs``."""
    inner = [source.sidecar.get(part, {}) for part in ("config", "kwargs")]
    if not all(isinstance(part, Mapping) for part in inner):
        raise InputError(f"checkpoint: {source.reference}: expected objects as config and kwargs")
    entries = {name: value for part in (*inner, source.sidecar) for name, value in part.items()}
    return {
        SAME.get(name, name): value
        for name, value in entries.items()
        if not (isinstance(value, int | None) and value in NOT_GIVEN)
    }


def require_agreement(
    source: Source, known: Mapping[str, Any], by_shapes: Mapping[str, Any]
) -> None:
    """Refuse a JSON that contradicts the shapes.

    Raises:
        InputError: the same name has another value there.
    """
    for name, shown in by_shapes.items():
        said = known.get(name, shown)
        if name in UNORDERED and isinstance(said, list) and all(type(n) is int for n in said):
            said = sorted(said)
        if said != shown:
            raise InputError(
                f"checkpoint: {source.reference} has {name} = {shown} by its shapes, "
                f"{str(said)[:80]} by the JSON beside it"
            )


def whole(known: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """A setting that is a positive whole number.

    Raises:
        InputError: it is none, or a greater one than networks have.
    """
    value = known.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST_SIDE:
        raise InputError(
            f"checkpoint: expected a positive whole number as {name}, at most {LARGEST_SIDE}, "
            f"got {str(value)[:40]!r}"
        )
    return value


def image_size(known: Mapping[str, Any], levels: int) -> int:
    """The side of the images of a network that halves them from each level to the next.

    Raises:
        InputError: it is no positive whole number, or cannot be halved so often.
    """
    size = whole(known, "image_size")
    if size % 2 ** (levels - 1):
        raise InputError(
            f"checkpoint: expected an image_size that {levels} levels can halve {levels - 1} times, "
            f"got {size}"
        )
    return size
