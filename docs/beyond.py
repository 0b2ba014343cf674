"""Write docs/BEYOND.md: what calibrating larger networks takes, from the speed that was measured on a GPU.

``python docs/beyond.py [NAME=VALUE ...]`` replaces assumptions, such as ``price=2.5``.
"""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from jinja2 import Environment, StrictUndefined
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from real.commands.calibrate import DEFAULT_TIMES
from real.experiments.device_check.subjects import subject
from real.families.ddpm.loader import PRESETS as DDPM
from real.families.ddpm.unet import build
from real.families.guided_diffusion.loader import heads
from real.families.guided_diffusion.published import PRESETS as GUIDED
from real.families.guided_diffusion.unet import GuidedUNet
from real.running.trial import any_condition
from theory.estimators import low_rank

DOCS = Path(__file__).parent
PAGE = DOCS / "BEYOND.md"
HOUR = 3600


@dataclass(frozen=True)
class Assumption:
    """A number that this program does not compute, and where it is from."""

    value: float
    unit: str
    source: str


ASSUMPTIONS = {
    "cifar10_images": Assumption(50_000, "images", "training images of CIFAR-10 (Krizhevsky 2009)"),
    "imagenet_images": Assumption(
        1_281_167, "images", "training images of ImageNet (Russakovsky et al. 2015)"
    ),
    "imagenet_classes": Assumption(1_000, "classes", "of ImageNet (the same)"),
    "latent_images": Assumption(
        50_000, "images", "assumed: as many images with captions as CIFAR-10 has"
    ),
    "text_tokens": Assumption(77, "tokens", "length of CLIP's texts (Radford et al. 2021)"),
    "published_times": Assumption(
        1_000, "times", "of DDPM's discrete schedule, all of which the published average uses"
    ),
    "times": Assumption(DEFAULT_TIMES, "times", "default of `python -m real calibrate`"),
    "bytes": Assumption(8, "bytes", "of a number, as this toolkit saves it (float64)"),
    "price": Assumption(3, "USD", "assumed: an hour of the GPU; replace it by what you pay"),
}

SDXL = {
    "sample_size": 128, "in_channels": 4, "out_channels": 4, "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2, "cross_attention_dim": 2048, "transformer_layers_per_block": [1, 2, 10],
    "attention_head_dim": [5, 10, 20], "use_linear_projection": True, "addition_time_embed_dim": 256,
    "addition_embed_type": "text_time", "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
"""unet/config.json of stabilityai/stable-diffusion-xl-base-1.0."""

POOLED, SIZES = 1280, 6
"""Its pooled text, and the sizes that it is told (2816 = 1280 + 6 * 256)."""

SHARED = 6 + 2 * low_rank.RANK
"""Numbers for each pixel and time, at most, in order 1: a shift, the offset of the slopes, slopes on x_t
and on the prediction by pixels and by frequencies, and those of low rank."""


@dataclass(frozen=True)
class Target:
    """A network that is to be calibrated.

    Attributes:
        title: in words.
        shape: of its predictions.
        weights: how many.
        operations: floating-point operations of one evaluation.
        images: how many it is calibrated with.
        classes: how many it has a shift for each of; 0 for one shift alone.
    """

    title: str
    shape: tuple[int, ...]
    weights: int
    operations: int
    images: float
    classes: float = 0


def operations(call: Callable[[], Any]) -> int:
    """Floating-point operations of the matrix products and convolutions of a call."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def targets(given: dict[str, Assumption]) -> list[Target]:
    """The networks, built without memory; each is called on one image."""
    value = {name: assumption.value for name, assumption in given.items()}
    preset = next(
        preset for preset in GUIDED
        if preset.settings["image_size"] == 256 and preset.architecture.classes == value["imagenet_classes"]
    )  # fmt: skip
    with torch.device("meta"):
        small = build(DDPM[0].architecture, 32)
        guided = GuidedUNet(preset.architecture, heads(preset.settings))
        large = UNet2DConditionModel(**SDXL)
        t, label = torch.zeros(1), torch.zeros(1, dtype=torch.int64)
        texts = torch.zeros(1, int(value["text_tokens"]), SDXL["cross_attention_dim"])
        pooled = {"text_embeds": torch.zeros(1, POOLED), "time_ids": torch.zeros(1, SIZES)}
    told = {"encoder_hidden_states": texts, "added_cond_kwargs": pooled}
    return [
        target("CIFAR-10, DDPM", (3, 32, 32), small, lambda x: small(x, t), value["cifar10_images"]),
        target(
            "ImageNet 256, with classes", (3, 256, 256), guided, lambda x: guided(x, t, label),
            value["imagenet_images"], value["imagenet_classes"],
        ),
        target(
            "latents, of SDXL's size", (4, 128, 128), large, lambda x: large(x, t, **told),
            value["latent_images"],
        ),
    ]  # fmt: skip


def target(
    title: str, shape: tuple[int, ...], network: nn.Module, call: Callable[[Tensor], Any],
    images: float, classes: float = 0,
) -> Target:  # fmt: skip
    """The target that a network on the meta device is.

    Args:
        title: in words.
        shape: of an image or latent.
        network: without memory.
        call: calls it on a batch.
        images: how many it is calibrated with.
        classes: how many it has a shift for each of.
    """
    x = torch.zeros(1, *shape, device="meta")
    return Target(title, shape, size(network), operations(lambda: call(x)), images, classes)


def size(network: nn.Module) -> int:
    """The number of weights."""
    return sum(parameter.numel() for parameter in network.parameters())


def measured() -> list[dict[str, Any]]:
    """Each network whose speed was measured, by weights, with the operations per second that it reached."""
    found = {}
    for name in ("gpu-speed.json", "gpu.json"):
        for part in json.loads((DOCS / name).read_text()).values():
            speed = part.get("found") if isinstance(part, dict) else None
            if isinstance(speed, dict) and "against_the_bare_network" in speed:
                checkpoint = subject(speed["network"], torch.device("cpu"))
                x, t = torch.zeros(1, *checkpoint.shape), checkpoint.schedule.grid(2)[-1:]
                label = any_condition(checkpoint, 1)
                count = operations(lambda c=checkpoint, x=x, t=t, y=label: c.predict(x, t, y))
                rate = count * speed["evaluations_per_second"]
                found[speed["network"]] = {**speed, "operations": count, "rate": rate}
    return sorted(found.values(), key=lambda speed: speed["weights"])


def cost(
    target: Target, speed: dict[str, Any], given: dict[str, Assumption], order: int
) -> dict[str, Any]:
    """What a calibration takes: the plain average at all times (order 0), or ours (order 1)."""
    value = {name: assumption.value for name, assumption in given.items()}
    times = value["published_times"] if order == 0 else value["times"]
    ratio = speed["against_the_bare_network"][f"calibrate, order {order}"]["ratio"]
    evaluations = target.images * times
    hours = evaluations * target.operations / (speed["rate"] * ratio) / HOUR
    numbers = max(target.classes, 1) if order == 0 else target.classes + SHARED
    return {
        "evaluations": evaluations, "hours": hours, "price": hours * value["price"],
        "bytes": times * math.prod(target.shape) * numbers * value["bytes"],
    }  # fmt: skip


def page(given: dict[str, Assumption], speeds: list[dict[str, Any]], wanted: list[Target]) -> str:
    """The page with these assumptions, measured speeds and networks."""
    rows = [
        {"target": each, "plain": cost(each, speeds[-1], given, 0), "ours": cost(each, speeds[-1], given, 1)}
        for each in wanted
    ]  # fmt: skip
    machine = json.loads((DOCS / "gpu-speed.json").read_text())["machine"]
    figures = json.loads((DOCS / "figures.json").read_text())
    template = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string((DOCS / "BEYOND.md.j2").read_text())
    return template.render(
        rows=rows, speeds=speeds, machine=machine, assumptions=given, study=figures["study"]
    ) + "\n"  # fmt: skip


def with_values(given: dict[str, Assumption], arguments: list[str]) -> dict[str, Assumption]:
    """The assumptions with values of the command line, NAME=VALUE."""
    changed = dict(given)
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name not in given or not value.replace(".", "", 1).isdecimal():
            known = ", ".join(given)
            raise SystemExit(
                f"beyond: expected NAME=NUMBER with a name of {known}, got {argument!r}"
            )
        changed[name] = replace(given[name], value=float(value), source="given on the command line")
    return changed


if __name__ == "__main__":
    given = with_values(ASSUMPTIONS, sys.argv[1:])
    PAGE.write_text(page(given, measured(), targets(given)))
