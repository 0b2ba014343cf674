"""Networks of improved-diffusion and guided-diffusion (.pt), with learned or fixed variance.

With learned variance the network gives twice the channels; the first half is the prediction.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from real.families import beta_tables as betas
from real.families import presets
from real.families.checkpoint import Checkpoint, Family, Source
from real.families.ddpm_adm.guided_unet import Architecture, GuidedUNet, Heads
from real.files.state_dicts import filled, inferred, state_of
from theory.diffusion import targets
from theory.forward.fingerprints import fingerprint
from theory.support.errors import InputError

NEEDED = [["image_size"], ["num_heads", "num_head_channels"], ["schedule", "betas"]]
TELLING = (
    "time_embed.0.weight", "input_blocks.0.0.weight", "input_blocks.1.0.out_layers.3.weight",
    "input_blocks.1.0.emb_layers.1.weight", "output_blocks.0.0.out_layers.3.weight", "out.2.weight",
)  # fmt: skip
ENCODER = ("time_embed.0.weight", "input_blocks.0.0.weight", "middle_block.0.in_layers.2.weight")
OUTPUT = re.compile(r"output_blocks\.(\d+)\.(\d+)\.(.+)")
UPSAMPLED = 6
"""Channels that an upsampler takes: those of the image, and of one of low resolution."""
UPWARDS = ("in_layers.2.weight", "conv.weight")


def recognizes(source: Source) -> bool:
    """Whether the names are those of these networks' residual blocks, or of the classifiers."""
    state = state_of(source.content)
    return state.keys() >= set(TELLING) or _is_classifier(state)


def _is_classifier(state: Mapping[str, Tensor]) -> bool:
    """Whether it is the half of a network that leads to a classifier's logits."""
    return state.keys() >= set(ENCODER) and not any(n.startswith("output_blocks.") for n in state)


def read_architecture(state: Mapping[str, Tensor]) -> Architecture:
    """The architecture that the names and shapes of a state tell.

    Every level but the finest ends in an upsampling, which is how many levels there are; each has
    one output block more than it has residual blocks on the way down.
    """
    layers = [match.groups() for name in state if (match := OUTPUT.fullmatch(name))]
    ups = {block: part for block, layer, part in layers if layer != "0" and part in UPWARDS}
    levels = 1 + len(ups)
    blocks = len({block for block, _, _ in layers}) // levels - 1
    width = state["time_embed.0.weight"].shape[1]
    firsts = [f"input_blocks.{1 + level * (blocks + 1)}" for level in range(levels)]
    labels = state.get("label_emb.weight")
    return Architecture(
        in_channels=state["input_blocks.0.0.weight"].shape[1],
        out_channels=state["out.2.weight"].shape[0],
        width=width,
        multipliers=tuple(_channels(state, first) / width for first in firsts),
        blocks=blocks,
        attention=tuple(
            level for level, first in enumerate(firsts) if f"{first}.1.qkv.weight" in state
        ),
        classes=None if labels is None else len(labels),
        scale_shift=state["input_blocks.1.0.emb_layers.1.weight"].shape[0]
        == 2 * _channels(state, "input_blocks.1"),
        resampling_blocks="in_layers.2.weight" in ups.values(),
    )


def _channels(state: Mapping[str, Tensor], block: str) -> int:
    return state[f"{block}.0.out_layers.3.weight"].shape[0]


def heads(known: Mapping[str, Any]) -> Heads:
    """How attention splits its channels; the width of a head goes before their number, as upstream.

    Raises:
        InputError: numbers that are no positive whole ones.
    """
    width = presets.whole(known, "num_head_channels") if "num_head_channels" in known else None
    count = presets.whole(known, "num_heads", default=1)
    return Heads(
        count=count,
        count_up=presets.whole(known, "num_heads_upsample", default=count),
        width=width,
        after_split=bool(known.get("use_new_attention_order", False)),
    )


def load(source: Source, device: Any) -> Checkpoint:
    """The checkpoint.

    Raises:
        InputError: names or shapes that are not these networks', an upsampler or a classifier, or
            settings that nothing tells.
    """
    state = state_of(source.content)
    if _is_classifier(state):
        raise InputError(
            f"checkpoint: {source.reference} is a classifier for guidance, and no network that denoises"
        )
    architecture = inferred(read_architecture, TELLING, state, source.reference)
    if architecture.in_channels == UPSAMPLED and architecture.out_channels in (3, UPSAMPLED):
        raise InputError(
            f"checkpoint: {source.reference} is an upsampler, which also takes an image of low "
            "resolution: expected a network that denoises images alone"
        )
    known = presets.settings(source, architecture, NEEDED)
    presets.require_agreement(source, known, _by_shapes(architecture))
    if architecture.out_channels not in (architecture.in_channels, 2 * architecture.in_channels):
        raise InputError(
            f"checkpoint: {source.reference}: expected as many channels out as in, or twice as many, "
            f"got {architecture.in_channels} in, {architecture.out_channels} out"
        )
    size = presets.image_size(known, len(architecture.multipliers))
    schedule = betas.schedule(known)
    scale = _time_scale(source, known, len(schedule.alphas_cumprod))
    split = heads(known)
    network = filled(partial(GuidedUNet, architecture, split), state, source.reference).to(device)
    return Checkpoint(
        reference=source.reference,
        family=FAMILY.name,
        predict=_predictor(network, scale, source.reference),
        schedule=schedule,
        target=targets.named(str(known.get("prediction", "noise"))),
        shape=(architecture.in_channels, size, size),
        conditions=architecture.classes,
        fingerprint=fingerprint(
            network.state_dict().items(), repr(architecture), repr(split), f"{size} {scale}"
        ),
        modules={"unet": network},
    )


def _time_scale(source: Source, known: Mapping[str, Any], steps: int) -> float:
    """What the network's own times are, times of the schedule taken as 1."""
    if steps == betas.STEPS:
        return 1.0
    if "rescale_timesteps" not in known:
        raise InputError(
            f"checkpoint: {source.reference} has {steps} steps, and expected rescale_timesteps "
            "(true or false) in the JSON beside it"
        )
    return betas.STEPS / steps if known["rescale_timesteps"] else 1.0


def _predictor(network: GuidedUNet, time_scale: float, reference: str) -> Any:
    architecture, weight = network.architecture, next(network.parameters())

    def predict(x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        labels = _labels(architecture.classes, condition, len(x_t), reference)
        y = network(
            x_t.to(weight.device, weight.dtype),
            t.to(weight.device) * time_scale,
            None if labels is None else labels.to(weight.device),
        )
        return y[:, : architecture.in_channels].to(x_t)

    return predict


def _labels(classes: int | None, condition: Any, n: int, reference: str) -> Tensor | None:
    if classes is None:
        if condition is not None:
            raise InputError(f"checkpoint: {reference} is unconditional, it takes no condition")
        return None
    expected = f"checkpoint: {reference} takes labels ({n},) from 0 to {classes - 1}"
    if condition is None:
        raise InputError(f"{expected}, got no condition")
    labels = torch.as_tensor(condition)
    if labels.shape != (n,) or labels.is_floating_point() or labels.is_complex():
        raise InputError(f"{expected}, got {labels.dtype} of shape {tuple(labels.shape)}")
    if not ((labels >= 0) & (labels < classes)).all():
        raise InputError(f"{expected}, got {labels.min().item()} to {labels.max().item()}")
    return labels.long()


def _by_shapes(architecture: Architecture) -> dict[str, Any]:
    return {
        "in_channels": architecture.in_channels,
        "out_channels": architecture.out_channels,
        "model_channels": architecture.width,
        "num_res_blocks": architecture.blocks,
        "attention_resolutions": [2**level for level in architecture.attention],
        "channel_mult": list(architecture.multipliers),
        "num_classes": architecture.classes,
        "use_scale_shift_norm": architecture.scale_shift,
        "resblock_updown": architecture.resampling_blocks,
    }


FAMILY = Family("guided", recognizes, load)
