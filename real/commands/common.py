"""What the commands share: arguments, the device, progress."""

import argparse
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from tqdm import tqdm

from theory.forward.images import DEFAULT_BATCH
from theory.support.command_line import Parser, count, seed
from theory.support.errors import InputError

if TYPE_CHECKING:
    from real.families.checkpoint import Checkpoint
    from real.images import ImageSource, Role
    from theory.diffusion.schedules import Schedule

AUTO = "auto"
EXPECTED_DEVICE = "auto, cpu or a usable device"


def batch_size(text: str) -> int | str:
    """A positive whole number, or ``auto``."""
    return AUTO if text == AUTO else count(text)


COMMON = Parser(add_help=False)
COMMON.add_argument("--seed", type=seed, default=0, help="seed of everything random (0)")
COMMON.add_argument("--quiet", action="store_true", help="no progress bar")
ON_DEVICE = Parser(add_help=False)
ON_DEVICE.add_argument("--device", default="auto", help="auto (CUDA if there), cpu, cuda:1 ...")
NETWORK = Parser(add_help=False)
NETWORK.add_argument(
    "checkpoint", nargs="?", default="digits", metavar="CHECKPOINT",
    help="digits (shipped, default), a name that `list` shows, a folder, a file, "
    "a Hub id, or your own network as FILE.py:NAME",
)  # fmt: skip
NETWORK.add_argument("--family", metavar="NAME", help="family, where several know its content")
SOLVER = Parser(add_help=False)
SOLVER.add_argument(
    "--solver", metavar="NAME",
    help="ddim, ddpm, dpm-single-1, dpm-single-2, dpm-single-3, dpm-multi-1, dpm-multi-2, "
    "dpm-multi-3, heun, heun-churn, euler or flow-euler; ddpm-analytic in validate, with a calibration "
    "of order 1 (default: heun for EDM's schedule, "
    "flow-euler for flow matching, ddim for others)",
)  # fmt: skip
PICTURES = Parser(add_help=False, parents=[SOLVER])
PICTURES.add_argument(
    "--nfe", "--steps", type=count, default=20, metavar="N",
    help="network evaluations per sample, at most (20)",
)  # fmt: skip
PICTURES.add_argument("--samples", type=count, default=64, help="number of samples (64)")
BATCHES = Parser(add_help=False)
BATCHES.add_argument(
    "--batch-size", type=batch_size, default=DEFAULT_BATCH, metavar="N",
    help="images per network call (256), or auto: the fastest here",
)  # fmt: skip
IMAGES = Parser(add_help=False)
IMAGES.add_argument(
    "--data", default="digits", metavar="DATA",
    help="digits (default), mnist, fashion-mnist, cifar10, celeba, hub:ID[:SPLIT], a folder of "
    "images, an .npz, .zip or .jsonl file, or a file that `encode` wrote; images of other sizes are "
    "cropped and resized",
)  # fmt: skip
IMAGES.add_argument(
    "--data-root", type=Path, metavar="DIR", help="where torchvision's sets lie (a cache folder)"
)
IMAGES.add_argument("--download", action="store_true", help="fetch a named set that is not there")
IMAGES.add_argument("--images", type=count, metavar="N", help="use only N images, evenly spaced")
DATA = Parser(add_help=False, parents=[IMAGES, BATCHES])
DATA.add_argument("--draws", type=count, default=1, help="noise draws per image and time (1)")
RUNNING = Parser(add_help=False)
RUNNING.add_argument(
    "--dtype", choices=["float32", "bfloat16", "float16"], default="float32",
    help="what the network computes in (float32)",
)  # fmt: skip
RUNNING.add_argument("--compile", action="store_true", help="compile the network (torch.compile)")


CONDITION = Parser(add_help=False)
CONDITION.add_argument(
    "--condition", choices=["joint", "null"], default="joint",
    help="each image under its own class or text (default), or all under the one for none",
)  # fmt: skip


def times(text: str) -> list[float]:
    """Comma-separated times."""
    return [float(part) for part in text.split(",")]


def fraction(text: str) -> float:
    """A number between 0 and 1."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text}")
    return value


def spread_times(schedule: "Schedule", n: int) -> Tensor:
    """At most n times of a schedule, spread evenly in log-SNR.

    Raises:
        InputError: more than a table has.
    """
    from theory.diffusion.schedules import DiscreteSchedule

    if isinstance(schedule, DiscreteSchedule) and n > len(schedule.alphas_cumprod):
        raise InputError(f"times: the schedule has {len(schedule.alphas_cumprod)} of them, got {n}")
    return schedule.times(schedule.grid(n))


def on_device(name: str) -> torch.device:
    """The device of that name; ``auto`` is CUDA where there is one.

    Raises:
        InputError: it cannot be used.
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


def require_room(checkpoint: "Checkpoint", **counts: int) -> None:
    """Refuse more images at once than memory can hold, by what they are: samples, draws.

    Raises:
        InputError: it is that.
    """
    from real.running import require_memory

    for what, number in counts.items():
        require_memory(what, number, checkpoint.shape)


def opened(
    options: argparse.Namespace,
    role: "Role",
    shape: tuple[int, ...],
    batch_size: int = DEFAULT_BATCH,
) -> "ImageSource":
    """The images that ``IMAGES`` names, of that shape.

    Raises:
        InputError: as ``real.images.open_images``.
    """
    from real.images import open_images

    return open_images(
        options.data, role, shape, limit=options.images, batch_size=batch_size,
        data_root=options.data_root, download=options.download,
    )  # fmt: skip


def images_for(
    checkpoint: "Checkpoint", options: argparse.Namespace, role: "Role", device: torch.device
) -> "ImageSource":
    """The same as the network takes them: as latents where it works on them.

    Raises:
        InputError: as ``real.images.open_images``, or latents of another autoencoder.
    """
    from real.images import LATENTS, latents_of, require_codec

    if not checkpoint.codec:
        return opened(options, role, checkpoint.shape, options.batch_size)
    if options.data.endswith(LATENTS):
        latents = opened(options, role, checkpoint.shape, options.batch_size)
        require_codec(Path(options.data), checkpoint.codec)
        return latents
    images = opened(options, role, checkpoint.image_shape, options.batch_size)
    with counting(len(images), "encode", options.quiet) as on_progress:
        return latents_of(images, checkpoint.codec, device, on_progress)


def run_network(options: argparse.Namespace, device: torch.device) -> "Checkpoint":
    """The checkpoint that ``NETWORK`` names, run as ``RUNNING`` says, its batch size settled.

    Raises:
        InputError: it cannot be loaded, or not compiled here.
    """
    from real.checkpoints.loading import load
    from real.running import run_well

    checkpoint = run_well(
        load(options.checkpoint, device, options.family),
        device,
        dtype=options.dtype,
        compile=options.compile,
    )
    settle_batch_size(checkpoint, options, device)
    return checkpoint


def settle_batch_size(
    checkpoint: "Checkpoint", options: argparse.Namespace, device: torch.device
) -> None:
    """Put the best batch size in place of ``auto``."""
    from real.running import best_batch_size, timed

    if options.batch_size == AUTO:
        options.batch_size = best_batch_size(timed(checkpoint, device))
        print(f"batch size {options.batch_size}")


@contextmanager
def counting(total: int, name: str, quiet: bool) -> Iterator[Callable[[int], Any]]:
    """A progress bar over network evaluations."""
    with tqdm(total=total, desc=name, unit="eval", unit_scale=True, disable=quiet, delay=1) as bar:
        yield bar.update
