"""Load networks of improved-diffusion and guided-diffusion (.pt), with learned or fixed variance.

With a learned variance the network returns twice the channels; the first half is the prediction.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from real.families.beta_tables import STEPS, schedule_of_settings
from real.families.checkpoint import Checkpoint, Family, Source
from real.families.conditions import Labels, refuse_condition
from real.families.guided_diffusion.published import PRESETS
from real.families.guided_diffusion.unet import GuidedArchitecture, GuidedUNet, Heads
from real.families.sidecar_settings import (
    assumed,
    image_size,
    require_agreement,
    settings_of,
    whole_setting,
)
from real.files.state_dicts import inferred, state_of, with_weights
from theory.diffusion import targets
from theory.forward.fingerprints import fingerprint
from theory.forward.forward_pass import Predict
from theory.support.errors import InputError

NAME = "guided"
NEEDED = [["image_size"], ["num_heads", "num_head_channels"], ["schedule", "betas"]]
TELLING = (
    "time_embed.0.weight", "input_blocks.0.0.weight", "input_blocks.1.0.out_layers.3.weight",
    "input_blocks.1.0.emb_layers.1.weight", "output_blocks.0.0.out_layers.3.weight", "out.2.weight",
)  # fmt: skip
"""Names by which the family is recognized, and whose shapes tell the architecture."""

ENCODER = ("time_embed.0.weight", "input_blocks.0.0.weight", "middle_block.0.in_layers.2.weight")
OUTPUT = re.compile(r"output_blocks\.(\d+)\.(\d+)\.(.+)")
UPSAMPLED = 6
"""Channels that an upsampler takes: those of the image, and of one of low resolution."""
UPWARDS = ("in_layers.2.weight", "conv.weight")


def _recognizes(source: Source) -> bool:
    """Whether the names are those of a network of this family, or of one of its classifiers."""
    state = state_of(source.content)
    return state.keys() >= set(TELLING) or _is_classifier(state)


def _is_classifier(state: Mapping[str, Tensor]) -> bool:
    """Whether a state is that of a classifier: an encoder without a decoder."""
    return state.keys() >= set(ENCODER) and not any(n.startswith("output_blocks.") for n in state)


def guided_architecture(state: Mapping[str, Tensor]) -> GuidedArchitecture:
    """The architecture that the names and shapes of a state tell.

    Every level but the finest ends in an upsampling, which gives the number of levels; each level
    has one output block more than it has residual blocks on the way down.
    """
    layers = [match.groups() for name in state if (match := OUTPUT.fullmatch(name))]
    ups = {block: part for block, layer, part in layers if layer != "0" and part in UPWARDS}
    levels = 1 + len(ups)
    blocks = len({block for block, _, _ in layers}) // levels - 1
    width = state["time_embed.0.weight"].shape[1]
    firsts = [f"input_blocks.{1 + level * (blocks + 1)}" for level in range(levels)]
    labels = state.get("label_emb.weight")
    modulation = state["input_blocks.1.0.emb_layers.1.weight"].shape[0]
    return GuidedArchitecture(
        in_channels=state["input_blocks.0.0.weight"].shape[1],
        out_channels=state["out.2.weight"].shape[0], width=width,
        multipliers=tuple(_channels(state, first) / width for first in firsts), blocks=blocks,
        attention=tuple(
            level for level, first in enumerate(firsts) if f"{first}.1.qkv.weight" in state
        ),
        classes=None if labels is None else len(labels),
        scale_shift=modulation == 2 * _channels(state, "input_blocks.1"),
        resampling_blocks="in_layers.2.weight" in ups.values(),
    )  # fmt: skip


def _channels(state: Mapping[str, Tensor], block: str) -> int:
    return state[f"{block}.0.out_layers.3.weight"].shape[0]


def heads(known: Mapping[str, Any]) -> Heads:
    """How attention splits its channels; as upstream, the width of a head goes before their number.

    Raises:
        InputError: a number is no positive whole one.
    """
    width = whole_setting(known, "num_head_channels") if "num_head_channels" in known else None
    count = whole_setting(known, "num_heads", default=1)
    return Heads(
        count=count,
        count_up=whole_setting(known, "num_heads_upsample", default=count),
        width=width,
        after_split=bool(known.get("use_new_attention_order", False)),
    )


def load(source: Source, device: Any) -> Checkpoint:
    """The network of a state file of improved-diffusion or guided-diffusion.

    Raises:
        InputError: names or shapes are not those of these networks, it is an upsampler or a
            classifier, or nothing tells a setting.
    """
    state = state_of(source.content)
    if _is_classifier(state):
        raise InputError(
            f"checkpoint: {source.reference} is a classifier for guidance, and no network that denoises"
        )
    architecture = inferred(guided_architecture, TELLING, state, source.reference)
    _refuse_upsampler(source, architecture)
    known = settings_of(source, architecture, PRESETS, NEEDED)
    _require_channels(source, architecture)
    size = image_size(known, len(architecture.multipliers))
    require_agreement(source, _in_factors(known, size), _by_shapes(architecture))
    schedule = schedule_of_settings(known)
    scale, split = _time_scale(source, known, len(schedule.alphas_cumprod)), heads(known)
    floats = {name: tensor.float() for name, tensor in state.items()}
    make = partial(GuidedUNet, architecture, split)
    network = with_weights(make, floats, source.reference).to(device)
    said = (_described(architecture), repr(split), f"{size} {scale}")
    return Checkpoint(
        reference=source.reference, family=NAME,
        predict=_predictor(network, scale, source.reference), schedule=schedule,
        target=targets.named(str(known.get("prediction", "noise"))),
        shape=(architecture.in_channels, size, size), conditions=architecture.classes,
        fingerprint=fingerprint(network.state_dict().items(), *said),
        modules={"unet": network},
        notes=assumed(source, architecture, PRESETS),
    )  # fmt: skip


def _described(architecture: GuidedArchitecture) -> str:
    """The architecture as it enters fingerprints, under the name that its class had at first."""
    return repr(architecture).replace(type(architecture).__name__, "Architecture", 1)


def _refuse_upsampler(source: Source, architecture: GuidedArchitecture) -> None:
    if architecture.in_channels == UPSAMPLED and architecture.out_channels in (3, UPSAMPLED):
        raise InputError(
            f"checkpoint: {source.reference} is an upsampler, which also takes an image of low "
            "resolution: expected a network that denoises images alone"
        )


def _require_channels(source: Source, architecture: GuidedArchitecture) -> None:
    if architecture.out_channels not in (architecture.in_channels, 2 * architecture.in_channels):
        raise InputError(
            f"checkpoint: {source.reference}: expected as many channels out as in, or twice as many, "
            f"got {architecture.in_channels} in, {architecture.out_channels} out"
        )


def _time_scale(source: Source, known: Mapping[str, Any], steps: int) -> float:
    """The network's times over those of the schedule."""
    if steps == STEPS:
        return 1.0
    if "rescale_timesteps" not in known:
        raise InputError(
            f"checkpoint: {source.reference} has {steps} steps, and expected rescale_timesteps "
            "(true or false) in the JSON beside it"
        )
    return STEPS / steps if known["rescale_timesteps"] else 1.0


def _predictor(network: GuidedUNet, time_scale: float, reference: str) -> Predict:
    architecture, weight = network.architecture, next(network.parameters())
    labels = None if architecture.classes is None else Labels(architecture.classes)

    def predict(x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        """The prediction (b, c, h, w) at x_t and times t (b,)."""
        if labels is None:
            refuse_condition(condition, reference)
        y = network(
            x_t.to(weight.device, weight.dtype),
            t.to(weight.device) * time_scale,
            labels and labels(condition, len(x_t), weight.device),
        )
        return y[:, : architecture.in_channels].to(x_t)

    return predict


def _in_factors(known: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Settings with lists as lists: upstream's programs take sizes of images, as texts."""
    said = dict(known)
    for name, of_size in (("attention_resolutions", True), ("channel_mult", False)):
        if isinstance(said.get(name), str):
            try:
                numbers = [int(part) for part in said[name].split(",") if part]
            except ValueError as error:
                raise InputError(
                    f"checkpoint: expected whole numbers as {name}, got {said[name][:40]!r}"
                ) from error
            said[name] = [size // max(1, n) for n in numbers] if of_size else numbers
            if not numbers:
                del said[name]
    return said


def _by_shapes(architecture: GuidedArchitecture) -> dict[str, Any]:
    return {
        "in_channels": architecture.in_channels, "out_channels": architecture.out_channels,
        "model_channels": architecture.width, "num_res_blocks": architecture.blocks,
        "attention_resolutions": [2**level for level in architecture.attention],
        "channel_mult": list(architecture.multipliers), "num_classes": architecture.classes,
        "use_scale_shift_norm": architecture.scale_shift,
        "resblock_updown": architecture.resampling_blocks,
        "class_cond": architecture.classes is not None,
        "learn_sigma": architecture.out_channels == 2 * architecture.in_channels,
    }  # fmt: skip


FAMILY = Family(NAME, _recognizes, load)
