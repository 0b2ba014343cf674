"""Settings that a state file does not hold: from the JSON beside it, or of a published network.

Names are those of the upstream programs: image_size, num_heads, num_head_channels,
num_heads_upsample, use_new_attention_order, diffusion_steps, rescale_timesteps; ``schedule`` is
linear or cosine, ``betas`` a table in its place, ``prediction`` the name of a target.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from real.families.checkpoint import LARGEST_SIDE, Source
from theory.support.errors import InputError

NOT_GIVEN = (None, -1)
SAME = {"size": "image_size"}
UNORDERED = ("attn", "attention_resolutions")


@dataclass(frozen=True)
class Preset:
    """A published network.

    Attributes:
        architecture: what the shapes of its weights tell.
        settings: what they do not tell.
    """

    architecture: Any
    settings: Mapping[str, Any]


def settings_of(
    source: Source,
    architecture: Any,
    presets: Sequence[Preset],
    needed: Sequence[Sequence[str]],
) -> dict[str, Any]:
    """The settings of a network: of the published one with its shapes, overridden by the JSON.

    Raises:
        InputError: of one of the groups in ``needed``, no setting is known; the message names them.
    """
    preset = next((p.settings for p in presets if p.architecture == architecture), {})
    known = {**preset, **sidecar_settings(source)}
    missing = [" or ".join(names) for names in needed if not set(names) & set(known)]
    if missing:
        raise InputError(
            f"checkpoint: {source.reference} does not hold {', '.join(missing)}: it has the shapes "
            f"of no published network, and expected these in "
            f"{source.path.with_suffix('.json').name} beside it"
        )
    return known


def sidecar_settings(source: Source) -> dict[str, Any]:
    """The entries of the JSON beside a file, together with those of its ``config`` and ``kwargs``.

    Raises:
        InputError: ``config`` or ``kwargs`` is no object.
    """
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
    """Refuse settings that contradict the shapes of the weights.

    Raises:
        InputError: a setting has another value by the shapes.
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


def whole_setting(known: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """A setting that is a whole number from 1 to ``LARGEST_SIDE``.

    Raises:
        InputError: it is anything else.
    """
    value = known.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST_SIDE:
        raise InputError(
            f"checkpoint: expected a positive whole number as {name}, at most {LARGEST_SIDE}, "
            f"got {str(value)[:40]!r}"
        )
    return value


def image_size(known: Mapping[str, Any], levels: int) -> int:
    """The side of the images of a network that halves them between its levels.

    Raises:
        InputError: it is no positive whole number, or cannot be halved so often.
    """
    size = whole_setting(known, "image_size")
    if size % 2 ** (levels - 1):
        raise InputError(
            f"checkpoint: expected an image_size that {levels} levels can halve {levels - 1} times, "
            f"got {size}"
        )
    return size
