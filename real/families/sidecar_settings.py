"""Settings that a state file does not hold: from the JSON beside it, or of a published network.

Names are those of the upstream programs: image_size, num_heads, num_head_channels,
num_heads_upsample, use_new_attention_order, diffusion_steps, rescale_timesteps; ``schedule`` is
linear or cosine, ``betas`` a table in its place, ``prediction`` the name of a target.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from real.families.beta_tables import STEPS
from real.families.checkpoint import LARGEST_SIDE, Source
from theory.support.command_line import did_you_mean
from theory.support.errors import InputError

NOT_GIVEN = (None, -1)
SYNONYMS = {
    "size": "image_size", "noise_schedule": "schedule", "beta_schedule": "schedule",
    "num_diffusion_timesteps": "diffusion_steps", "num_channels": "model_channels",
}  # fmt: skip
"""Other names that upstream programs give to the same setting."""

KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(
        (
            "image_size", "num_heads", "num_head_channels", "num_heads_upsample", "diffusion_steps",
            "in_channels", "out_channels", "model_channels", "num_res_blocks", "num_classes",
            "ch", "nres", "cin",
        ),
        int,
    ),
    **dict.fromkeys(
        (
            "rescale_timesteps", "use_new_attention_order", "use_scale_shift_norm",
            "resblock_updown", "predict_xstart", "class_cond", "learn_sigma",
        ),
        bool,
    ),
    **dict.fromkeys(("schedule", "prediction"), str),
    **dict.fromkeys(("beta_start", "beta_end"), (int, float)),
    **dict.fromkeys(("attention_resolutions", "channel_mult", "mult", "attn"), (list, str)),
    "betas": (list, str),
}  # fmt: skip
"""The settings that are understood, and the types of their values in JSON."""

WITHOUT_EFFECT = (
    "format", "config", "kwargs", "dropout", "use_fp16", "use_checkpoint", "use_kl", "sigma_small",
    "rescale_learned_sigmas", "conv_resample", "resamp_with_conv", "dims", "var_type", "large_size",
)  # fmt: skip
"""Settings of training or of the variance, which the network's prediction does not depend on."""

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


def assumed(source: Source, architecture: Any, presets: Sequence[Preset]) -> tuple[str, ...]:
    """A line with the settings that only a published network of the same shapes tells."""
    preset = next((p.settings for p in presets if p.architecture == architecture), {})
    taken = {name: value for name, value in preset.items() if name not in sidecar_settings(source)}
    if not taken:
        return ()
    said = ", ".join(f"{name} {value}" for name, value in taken.items())
    return (
        f"{source.reference}: assumed of the published network with these shapes: {said}; "
        f"{source.path.with_suffix('.json').name} beside it may say else",
    )


def sidecar_settings(source: Source) -> dict[str, Any]:
    """The entries of the JSON beside a file, together with those of its ``config`` and ``kwargs``.

    Raises:
        InputError: ``config`` or ``kwargs`` is no object.
    """
    inner = [source.sidecar.get(part, {}) for part in ("config", "kwargs")]
    if not all(isinstance(part, Mapping) for part in inner):
        raise InputError(f"checkpoint: {source.reference}: expected objects as config and kwargs")
    entries = {
        SYNONYMS.get(name, name): value
        for part in (*inner, source.sidecar)
        for name, value in part.items()
        if name not in WITHOUT_EFFECT and not (isinstance(value, int | None) and value in NOT_GIVEN)
    }
    for name, value in entries.items():
        _require_understood(source, name, value)
    return _in_our_terms(source, entries)


def _require_understood(source: Source, name: str, value: Any) -> None:
    if name not in KINDS:
        raise InputError(
            f"checkpoint: {source.reference}: unknown setting {name[:60]!r} in the JSON beside it"
            + did_you_mean(name, [*KINDS, *SYNONYMS])
        )
    kind = KINDS[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        expected = " or ".join(
            NAMES_OF_TYPES[k] for k in (kind if isinstance(kind, tuple) else (kind,))
        )
        raise InputError(
            f"checkpoint: {source.reference}: expected {expected} as {name} in the JSON beside it, "
            f"got {value!r:.60}"
        )


NAMES_OF_TYPES = {
    int: "a positive whole number", float: "a number", bool: "true or false", str: "a text", list: "a list",
}  # fmt: skip


def _in_our_terms(source: Source, entries: dict[str, Any]) -> dict[str, Any]:
    """Upstream's ways of saying the same: predict_xstart, the ends of the betas."""
    entries = dict(entries)
    if entries.pop("predict_xstart", False):
        if entries.get("prediction", "data") != "data":
            raise InputError(
                f"checkpoint: {source.reference}: predict_xstart says data, and prediction "
                f"{entries['prediction']!r:.40} in the JSON beside it"
            )
        entries["prediction"] = "data"
    ends = [entries.pop(name, None) for name in ("beta_start", "beta_end")]
    if ends != [None, None]:
        if None in ends or "betas" in entries or entries.pop("schedule", "linear") != "linear":
            raise InputError(
                f"checkpoint: {source.reference}: expected beta_start and beta_end together, with a "
                "linear schedule and no betas, in the JSON beside it"
            )
        entries["betas"] = f"linear {ends[0]}..{ends[1]}, {entries.get('diffusion_steps', STEPS)}"
    return entries


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
