"""Load what the arguments name: a device, a checkpoint, images, times."""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from real.checkpoints.loading import load
from real.commands.arguments import AUTO, counting
from real.families.checkpoint import Checkpoint
from real.families.data_range import in_range
from real.images.base import ImageSource, Role
from real.images.groups import read_groups
from real.images.latents import latents_of, require_codec
from real.images.opening import open_images
from real.images.references import DIGITS, LATENTS
from real.running import best_batch_size, run_well, timed
from theory.diffusion.schedules import DiscreteSchedule, Schedule
from theory.forward.images import DEFAULT_BATCH
from theory.support.errors import InputError

EXPECTED_DEVICE = "auto, cpu or a usable device"


def on_device(name: str) -> torch.device:
    """The device of that name; ``auto`` is CUDA where there is one.

    Raises:
        InputError: the device cannot be used.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        with warnings.catch_warnings(action="ignore"):  # of names that are no devices any more
            device = torch.device(name)
        works = torch.ones(1, device=device).item() == 1
    except Exception as error:  # each kind of device that is not there fails in its own way
        raise InputError(f"device: expected {EXPECTED_DEVICE}, got {name!r:.60}") from error
    if not works or (device.type == "cpu" and device.index):
        raise InputError(f"device: expected {EXPECTED_DEVICE}, got {name!r:.60}")
    return device


def load_checkpoint(options: argparse.Namespace, device: torch.device) -> Checkpoint:
    """The checkpoint that ``NETWORK`` names, as it is, on data of the range that it says.

    Raises:
        InputError: the checkpoint cannot be loaded, or its range cannot be set.
    """
    checkpoint = load(options.checkpoint, device, options.family)
    for note in checkpoint.notes:
        print(note)
    return in_range(checkpoint, *options.range) if options.range else checkpoint


def run_network(options: argparse.Namespace, device: torch.device) -> Checkpoint:
    """The checkpoint that ``NETWORK`` names, run as ``RUNNING`` says, its batch size settled.

    Raises:
        InputError: it cannot be loaded, or not compiled here.
    """
    checkpoint = run_well(
        load_checkpoint(options, device), device, dtype=options.dtype, compile=options.compile
    )
    settle_batch_size(checkpoint, options, device)
    return checkpoint


def settle_batch_size(
    checkpoint: Checkpoint, options: argparse.Namespace, device: torch.device
) -> None:
    """Measure the best batch size and put it in place of ``auto``."""
    if options.batch_size == AUTO:
        options.batch_size = best_batch_size(timed(checkpoint, device))
        print(f"batch size {options.batch_size}")


def opened(
    options: argparse.Namespace,
    role: Role,
    shape: tuple[int, ...],
    batch_size: int = DEFAULT_BATCH,
) -> ImageSource:
    """The images that ``IMAGES`` names, of that shape.

    Raises:
        InputError: as ``open_images``.
    """
    source = open_images(
        options.data, role, shape, limit=options.images, batch_size=batch_size,
        data_root=options.data_root, download=options.download,
        groups=read_groups(options.groups) if options.groups else None,
    )  # fmt: skip
    for note in source.notes:
        print(note)
    return source


def images_for(
    checkpoint: Checkpoint, options: argparse.Namespace, role: Role, device: torch.device
) -> ImageSource:
    """The images that ``IMAGES`` names as the network takes them: latents, where it works on them.

    Raises:
        InputError: as ``open_images``, or latents of another autoencoder.
    """
    if not checkpoint.codec:
        return opened(options, role, checkpoint.shape, options.batch_size)
    if options.data.endswith(LATENTS):
        latents = opened(options, role, checkpoint.shape, options.batch_size)
        require_codec(Path(options.data), checkpoint.codec)
        return latents
    images = opened(options, role, checkpoint.image_shape, options.batch_size)
    with counting(len(images), "encode", options.quiet) as on_progress:
        return latents_of(images, checkpoint.codec, device, on_progress)


def two_parts(
    data: str, open_part: Callable[[Role], ImageSource], role: Role = "calibration"
) -> tuple[ImageSource, ImageSource]:
    """Images to calibrate or train on, and others to compare with.

    The digits come in two such parts; of any other set, opened for ``role``, every second image
    is held out.
    """
    if data == DIGITS:
        return open_part("calibration"), open_part("held-out")
    whole = open_part(role)
    return whole.every_other(0), whole.every_other(1)


def spread_times(schedule: Schedule, n: int) -> Tensor:
    """At most n times of a schedule, spread evenly in log-SNR.

    Raises:
        InputError: more times than a table has.
    """
    if isinstance(schedule, DiscreteSchedule) and n > len(schedule.alphas_cumprod):
        raise InputError(f"times: the schedule has {len(schedule.alphas_cumprod)} of them, got {n}")
    return schedule.times(schedule.grid(n))
