"""Encode images once for a network on latents, so that later commands need not."""

import argparse
from pathlib import Path
from typing import Any

from real.commands.common import COMMON, IMAGES, NETWORK, ON_DEVICE, counting, on_device, opened
from theory.support.errors import InputError
from theory.support.output import require_file


def add(commands: Any) -> None:
    """Its arguments."""
    command = commands.add_parser(
        "encode", parents=[NETWORK, IMAGES, COMMON, ON_DEVICE],
        help="encode images for a network on latents, once",
        description="Pass images through a network's autoencoder, and save the latents with their "
        "labels or captions. The other commands take the file as --data.",
        epilog="example: python -m real encode stable-diffusion-1.5 --data captions.jsonl "
        "--out latents.safetensors",
    )  # fmt: skip
    command.add_argument(
        "--out", type=Path, required=True, metavar="FILE.safetensors", help="file to write"
    )


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from real.checkpoints.loading import load
    from real.images import LATENTS, latents_of, save_latents

    require_file(options.out)
    if options.out.suffix != LATENTS:
        raise InputError(f"output: expected a name with {LATENTS}, got {options.out}")
    device = on_device(options.device)
    checkpoint = load(options.checkpoint, device, options.family)
    if not checkpoint.codec:
        raise InputError(
            f"checkpoint: {checkpoint.reference} has no autoencoder, images need no encoding"
        )
    images = opened(options, "calibration", checkpoint.image_shape)
    with counting(len(images), "encode", options.quiet) as on_progress:
        latents = latents_of(images, checkpoint.codec, device, on_progress)
    save_latents(latents, checkpoint.codec, options.out)
    print(f"{options.out}: {len(latents)} latents {checkpoint.shape}")
