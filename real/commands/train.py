"""Train the networks that ship."""

import argparse
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from real.commands import arguments as given
from real.commands.choices import NETWORKS, PRECISIONS
from theory.support.command_line import count, folder_named
from theory.support.errors import InputError
from theory.support.output import require_folder


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "train", parents=[given.COMMON],
        description=(
            "Train a network from a seed: digits (unconditional, on the CPU in minutes), fashion "
            "(class-conditional 28x28, about an hour) or cifar10 (class-conditional 32x32, for a "
            "GPU). An interrupted run goes on where it stopped, with as many --steps as it is then "
            "told."
        ),
        epilog="example: python -m real train fashion --data train.npz --out build/fashion",
    )  # fmt: skip
    option = command.add_argument
    option("network", choices=NETWORKS, help="which network")
    option(
        "--data", metavar="DATA",
        help="training images with labels, as for calibrate (default: torchvision's set; digits "
        "need none)",
    )  # fmt: skip
    option(
        "--data-root", type=Path, metavar="DIR",
        help="where torchvision's sets lie (a cache folder)",
    )  # fmt: skip
    option("--download", action="store_true", help="fetch torchvision's set if it is not there")
    length = command.add_mutually_exclusive_group()
    length.add_argument(
        "--steps", type=count, help="optimizer steps (digits 5000, fashion 3600, cifar10 20000)"
    )
    length.add_argument(
        "--minutes", type=float, metavar="M",
        help="train for so long instead: fashion and cifar10; the steps are set from the speed of the "
        "first hundred",
    )  # fmt: skip
    option(
        "--precision", choices=PRECISIONS,
        help="of the forward pass; weights are always float32 (digits and fashion float32, cifar10 "
        "bfloat16)",
    )  # fmt: skip
    option("--device", default="cpu", help="cpu (default), cuda, cuda:1 ... or auto")
    option(
        "--compile", action="store_true",
        help="compile the network first (torch.compile): fashion and cifar10, where it pays",
    )  # fmt: skip
    option(
        "--record-mean", action="store_true",
        help="record the mean of the network's errors while it learns (dynamic recording, Pang et al. "
        "2023, section 3.4), as the calibration recorded.safetensors beside the network",
    )  # fmt: skip
    option(
        "--out",
        type=folder_named,
        metavar="DIR",
        help="folder to write (build/ and the network's name)",
    )


def run(options: argparse.Namespace) -> None:
    """Train, and say where the network is."""
    out = options.out or Path("build") / options.network
    require_folder(out)
    if options.network == "digits" and options.data:
        raise InputError("data: digits come with the toolkit, expected no --data")
    if options.network == "digits" and (options.compile or options.minutes is not None):
        raise InputError(
            "train: digits are trained as they are, expected no --compile or --minutes"
        )
    if options.minutes is not None and not 0 < options.minutes < math.inf:
        raise InputError(f"minutes: expected a positive number, got {options.minutes:g}")
    given.require_inputs(options)
    record = _record(options, out)
    print(f"{out}: {record['weights']:,} weights, {record['seconds']:.0f} s")
    if options.record_mean:
        print(
            f"{out / record['recorded']}: the mean of its errors; validate tells what it is worth"
        )


def _record(options: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Train as the options say; returns the training record."""
    from real.commands.loading import on_device
    from real.experiments import training
    from real.images.opening import open_images

    device = on_device(options.device)
    assignment = training.ASSIGNMENTS.get(options.network)
    recipe = assignment.recipe if assignment else training.TrainingRecipe()
    recipe = replace(
        recipe,
        seed=options.seed,
        steps=options.steps or recipe.steps,
        precision=options.precision or recipe.precision,
    )
    if assignment is None:
        return training.train_digits(out, recipe, device, options.quiet, options.record_mean)
    images = open_images(
        options.data or assignment.data, "training", assignment.shape,
        data_root=options.data_root, download=options.download,
    )  # fmt: skip
    data = training.labelled(images, len(assignment.classes))
    return training.train_classes(
        assignment, data, out, recipe, device, options.quiet, options.compile,
        options.record_mean, seconds=None if options.minutes is None else 60 * options.minutes,
    )  # fmt: skip
