"""Train the networks that ship."""

import argparse
from pathlib import Path
from typing import Any

from real.commands.common import COMMON
from theory.program import count, require_folder


def add(commands: Any) -> None:
    """Its arguments."""
    command = commands.add_parser(
        "train", parents=[COMMON],
        help="train the network that ships, on the CPU",
        description="Train the digits network on its training images, from a seed.",
        epilog="example: python -m real train digits --out build/digits",
    )  # fmt: skip
    command.add_argument("network", choices=["digits"], help="which network")
    command.add_argument("--steps", type=count, default=5000, help="optimizer steps (5000)")
    command.add_argument(
        "--out", type=Path, default=Path("build/digits"), metavar="DIR",
        help="folder to write (build/digits)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from real.training import Recipe, train_digits

    require_folder(options.out)
    record = train_digits(
        options.out, Recipe(seed=options.seed, steps=options.steps), options.quiet
    )
    print(f"{options.out}: {record['weights']:,} weights, {record['seconds']:.0f} s")
