"""What the commands share: arguments, the device, progress."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from theory.errors import InputError
from theory.program import Parser, count, seed

if TYPE_CHECKING:
    from real.checkpoints import Checkpoint
    from real.images import ImageSource, Role

COMMON = Parser(add_help=False)
COMMON.add_argument("--seed", type=seed, default=0, help="seed of everything random (0)")
COMMON.add_argument("--quiet", action="store_true", help="no progress bar")
ON_DEVICE = Parser(add_help=False)
ON_DEVICE.add_argument("--device", default="auto", help="auto (CUDA if there), cpu, cuda:1 ...")
NETWORK = Parser(add_help=False)
NETWORK.add_argument(
    "checkpoint", nargs="?", default="digits", metavar="CHECKPOINT",
    help="digits (shipped, default), a name that `list` shows, a folder, a file, a Hub id, or your "
    "own network as FILE.py:NAME",
)  # fmt: skip
NETWORK.add_argument("--family", metavar="NAME", help="family, where its content is not to decide")
SOLVER = Parser(add_help=False)
SOLVER.add_argument(
    "--solver", metavar="NAME",
    help="ddim, ddpm, dpm-single-1, dpm-single-2, dpm-single-3, dpm-multi-1, dpm-multi-2, "
    "dpm-multi-3, heun, heun-churn, euler or flow-euler (default: heun for EDM's schedule, "
    "flow-euler for flow matching, ddim for others)",
)  # fmt: skip
PICTURES = Parser(add_help=False, parents=[SOLVER])
PICTURES.add_argument(
    "--nfe", type=count, default=20, metavar="N",
    help="network evaluations per sample, at most (20)",
)  # fmt: skip
PICTURES.add_argument("--samples", type=count, default=64, help="number of samples (64)")
IMAGES = Parser(add_help=False)
IMAGES.add_argument(
    "--data", default="digits", metavar="DATA",
    help="digits (default), mnist, fashion-mnist, cifar10, celeba, hub:ID[:SPLIT], a folder of "
    "images, or an .npz, .zip or .jsonl file; images of other sizes are cropped and resized",
)  # fmt: skip
IMAGES.add_argument(
    "--data-root", type=Path, metavar="DIR", help="where torchvision's sets lie (a cache folder)"
)
IMAGES.add_argument("--download", action="store_true", help="fetch a named set that is not there")
IMAGES.add_argument("--images", type=count, metavar="N", help="use only the first N images")
IMAGES.add_argument("--batch-size", type=count, default=256, help="images per network call (256)")
DATA = Parser(add_help=False, parents=[IMAGES])
DATA.add_argument("--draws", type=count, default=1, help="noise draws per image and time (1)")


def times(text: str) -> list[float]:
    """Comma-separated times."""
    return [float(part) for part in text.split(",")]


def fraction(text: str) -> float:
    """A number between 0 and 1."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text}")
    return value


def on_device(name: str) -> torch.device:
    """The device of that name; ``auto`` is CUDA where there is one.

    Raises:
        InputError: it cannot be used.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device: expected auto, cpu or a usable device, got {name!r}") from error
    return device


def opened(options: argparse.Namespace, role: "Role", shape: tuple[int, ...]) -> "ImageSource":
    """The images that ``IMAGES`` names, of that shape.

    Raises:
        InputError: as ``real.images.open_images``.
    """
    from real.images import open_images

    return open_images(
        options.data, role, shape, limit=options.images, batch_size=options.batch_size,
        data_root=options.data_root, download=options.download,
    )  # fmt: skip


def images_for(
    checkpoint: "Checkpoint", options: argparse.Namespace, role: "Role", device: torch.device
) -> "ImageSource":
    """The same as the network takes them: as latents where it works on them.

    Raises:
        InputError: as ``real.images.open_images``.
    """
    from real.images import latents_of

    images = opened(options, role, checkpoint.image_shape)
    if not checkpoint.codec:
        return images
    with counting(len(images), "encode", options.quiet) as on_progress:
        return latents_of(images, checkpoint.codec, device, on_progress)


@contextmanager
def counting(total: int, name: str, quiet: bool) -> Iterator[Callable[[int], Any]]:
    """A progress bar over network evaluations."""
    with tqdm(total=total, desc=name, unit="eval", unit_scale=True, disable=quiet, delay=1) as bar:
        yield bar.update
