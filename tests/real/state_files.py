"""Small state files in the published formats, made from what is publicly known of the formats."""

import functools
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from real.families.guided_diffusion.unet import GuidedArchitecture, GuidedUNet, Heads

SMALL_DDPM = {"ch": 32, "mult": [1, 2], "nres": 1, "attn": [8], "cin": 3, "size": 16}
SMALL_GUIDED = GuidedArchitecture(
    in_channels=3, out_channels=6, width=32, multipliers=(1, 2), blocks=1, attention=(1,),
    classes=None, scale_shift=True, resampling_blocks=False,
)  # fmt: skip
SMALL_SETTINGS = {"image_size": 16, "num_heads": 4, "schedule": "linear"}


def upstream_outputs() -> Path | None:
    """The folder of upstream's own outputs, beside the repository or one of its parents."""
    folders = (parent / "shared" / "fixtures" for parent in Path(__file__).resolve().parents)
    return next((folder for folder in folders if folder.is_dir()), None)


def ddpm_state(config=SMALL_DDPM, seed=0) -> dict[str, torch.Tensor]:
    """A state of DDPM's network with pytorch_diffusion's names and random weights."""
    width, channels = config["ch"], [config["ch"] * m for m in config["mult"]]
    at = [config["size"] >> level in config["attn"] for level in range(len(channels))]
    layers: dict[str, nn.Module] = {}

    def residual(name: str, into: int, out: int) -> None:
        layers[f"{name}.norm1"], layers[f"{name}.norm2"] = (
            nn.GroupNorm(1, into),
            nn.GroupNorm(1, out),
        )
        layers[f"{name}.conv1"], layers[f"{name}.conv2"] = (
            nn.Conv2d(into, out, 3), nn.Conv2d(out, out, 3),
        )  # fmt: skip
        layers[f"{name}.temb_proj"] = nn.Linear(4 * width, out)
        if into != out:
            layers[f"{name}.nin_shortcut"] = nn.Conv2d(into, out, 1)

    def attention(name: str, size: int) -> None:
        layers[f"{name}.norm"] = nn.GroupNorm(1, size)
        for part in ("q", "k", "v", "proj_out"):
            layers[f"{name}.{part}"] = nn.Conv2d(size, size, 1)

    with torch.device("meta"):
        layers["temb.dense.0"] = nn.Linear(width, 4 * width)
        layers["temb.dense.1"] = nn.Linear(4 * width, 4 * width)
        layers["conv_in"] = nn.Conv2d(config["cin"], width, 3)
        skips, now = [width], width
        for level, out in enumerate(channels):
            for block in range(config["nres"]):
                residual(f"down.{level}.block.{block}", now, out)
                if at[level]:
                    attention(f"down.{level}.attn.{block}", out)
                now = out
                skips.append(now)
            if level < len(channels) - 1:
                layers[f"down.{level}.downsample.conv"] = nn.Conv2d(now, now, 3)
                skips.append(now)
        residual("mid.block_1", now, now)
        attention("mid.attn_1", now)
        residual("mid.block_2", now, now)
        for level, out in reversed(list(enumerate(channels))):
            for block in range(config["nres"] + 1):
                residual(f"up.{level}.block.{block}", now + skips.pop(), out)
                if at[level]:
                    attention(f"up.{level}.attn.{block}", out)
                now = out
            if level > 0:
                layers[f"up.{level}.upsample.conv"] = nn.Conv2d(now, now, 3)
        layers["norm_out"] = nn.GroupNorm(1, now)
        layers["conv_out"] = nn.Conv2d(now, config["cin"], 3)
    shapes = {f"{n}.{k}": v for n, layer in layers.items() for k, v in layer.state_dict().items()}
    return random_like(shapes, seed)


def guided_state(architecture=SMALL_GUIDED, seed=0) -> dict[str, torch.Tensor]:
    """A state of improved- or guided-diffusion's network with random weights."""
    with torch.device("meta"):
        network = GuidedUNet(architecture, Heads(1, 1, None, after_split=False))
    return random_like(network.state_dict(), seed)


def random_like(shapes, seed) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape.shape, generator=generator) / max(1, shape[0].numel()) ** 0.5
        for name, shape in shapes.items()
    }


WRITERS = {
    "zip": torch.save,
    "legacy": functools.partial(torch.save, _use_new_zipfile_serialization=False),
    "safetensors": save_file,
}


def write(path: Path, content, sidecar=None, form="zip") -> Path:
    """Write a checkpoint file, and the JSON beside it."""
    WRITERS[form](content, path)
    if sidecar is not None:
        path.with_suffix(".json").write_text(json.dumps(sidecar))
    return path
