"""``python -m toy plots``: draw the theory figures."""

import argparse
from pathlib import Path
from typing import Any

from theory.support.command_line import folder_named, seed
from theory.support.output import keep, replacing_folder, require_folder


def add(commands: Any) -> None:
    """Add the parser of the subcommand."""
    parser = commands.add_parser(
        "plots",
        description="Draw the theory figures as PNG and PDF.",
        epilog="example: python -m toy plots --out figures",
    )
    parser.add_argument(
        "--out", type=folder_named, required=True, metavar="DIR", help="folder to write"
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed of everything random (0)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(options: argparse.Namespace) -> None:
    """Compute every figure, and write all of them or none."""
    require_folder(options.out)
    import torch
    from tqdm import tqdm

    from toy.figures.gallery import GALLERY, save_figures

    torch.set_num_threads(1)  # the tensors are small
    steps = tqdm(GALLERY.items(), desc="plots", disable=options.quiet or None, delay=1)
    results = {name: entry.compute(options.seed) for name, entry in steps}

    def write(out: Path) -> list[str]:
        """All figures into a folder, or none."""
        with replacing_folder(out) as folder:
            return save_figures(folder, results)

    for name in keep(options.out, write):
        print(options.out / name)
