"""Encode images once for a network on latents, so that later commands need not."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from real.commands import arguments as given
from real.images.references import LATENTS
from theory.support.errors import InputError
from theory.support.output import keep, require_file


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "encode", parents=[given.NETWORK, given.IMAGES, given.COMMON, given.ON_DEVICE],
        description="Pass images through a network's autoencoder, and save the latents with their "
        "labels or captions. The other commands take the file as --data.",
        epilog="example: python -m real encode stable-diffusion-1.5 --data captions.jsonl "
        "--out latents.safetensors",
    )  # fmt: skip
    option = command.add_argument
    option("--out", type=Path, required=True, metavar="FILE.safetensors", help="file to write")


def run(options: argparse.Namespace) -> None:
    """Encode the images and write their latents."""
    require_file(options.out)
    if options.out.suffix != LATENTS:
        raise InputError(f"output: expected a name with {LATENTS}, got {options.out}")
    given.require_inputs(options)
    from real.commands.loading import (
        ImageRequest,
        NetworkRequest,
        load_checkpoint,
        on_device,
        opened,
    )
    from real.images.latents import latents_of, save_latents

    device = on_device(options.device)
    checkpoint = load_checkpoint(NetworkRequest.of(options), device)
    if not checkpoint.codec:
        raise InputError(
            f"checkpoint: {checkpoint.reference} has no autoencoder, images need no encoding"
        )
    images = opened(ImageRequest.of(options), "calibration", checkpoint.image_shape)
    with given.counting(len(images), "encode", options.quiet) as on_progress:
        latents = latents_of(images, checkpoint.codec, device, on_progress)
    keep(options.out, partial(save_latents, latents, checkpoint.codec))
    print(f"{options.out}: {len(latents)} latents {checkpoint.shape}")
