"""What the commands share: arguments, the device, progress."""

import argparse
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from tqdm import tqdm

from theory.errors import InputError
from theory.program import Parser, count, seed

if TYPE_CHECKING:
    from real.checkpoints import Checkpoint

AUTO = "auto"


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
    help="digits (shipped, default), fashion (shipped), a local diffusers folder, or a Hub id",
)  # fmt: skip
PICTURES = Parser(add_help=False)
PICTURES.add_argument("--steps", type=count, default=20, help="solver steps (20)")
PICTURES.add_argument("--samples", type=count, default=64, help="number of samples (64)")
DATA = Parser(add_help=False)
DATA.add_argument(
    "--data", default="digits", metavar="DATA",
    help="digits (default), a folder of images, or an .npz file with an array 'images'",
)  # fmt: skip
DATA.add_argument("--images", type=count, metavar="N", help="use only the first N images")
DATA.add_argument("--draws", type=count, default=1, help="noise draws per image and time (1)")
DATA.add_argument(
    "--batch-size", type=batch_size, default=256, metavar="N",
    help="images per network call (256), or auto: the fastest here",
)  # fmt: skip
RUNNING = Parser(add_help=False)
RUNNING.add_argument(
    "--dtype", choices=["float32", "bfloat16", "float16"], default="float32",
    help="what the network computes in (float32)",
)  # fmt: skip
RUNNING.add_argument("--compile", action="store_true", help="compile the network (torch.compile)")


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


def run_network(options: argparse.Namespace, device: torch.device) -> "Checkpoint":
    """The checkpoint that ``NETWORK`` names, run as ``RUNNING`` says, its batch size settled.

    Raises:
        InputError: it cannot be loaded, or not compiled here.
    """
    from real.checkpoints import load
    from real.running import best_batch_size, run_well, timed

    checkpoint = run_well(
        load(options.checkpoint, device), device, dtype=options.dtype, compile=options.compile
    )
    if options.batch_size == AUTO:
        options.batch_size = best_batch_size(timed(checkpoint, device))
        print(f"batch size {options.batch_size}")
    return checkpoint


@contextmanager
def counting(total: int, name: str, quiet: bool) -> Iterator[Callable[[int], Any]]:
    """A progress bar over network evaluations."""
    with tqdm(total=total, desc=name, unit="eval", unit_scale=True, disable=quiet, delay=1) as bar:
        yield bar.update


def bar(name: str, quiet: bool) -> Callable[[Iterable[Tensor]], Iterable[Tensor]]:
    """A progress bar around an iteration."""
    return partial(tqdm, desc=name, disable=quiet, delay=1)
