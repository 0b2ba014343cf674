"""List the published networks that are known by name."""

import argparse
from typing import Any

HEADINGS = ("name", "family", "shape", "schedule", "target", "licence", "tried with", "address")


def add(commands: Any) -> None:
    """Add the command and its options."""
    commands.add_parser(
        "list",
        description="List the networks that every command knows by name. 'full weights' are those "
        "that were tried as published; of the others only small instances of the same format were.",
        epilog="example: python -m real list",
    )


def run(options: argparse.Namespace) -> None:
    """Print the table."""
    from real.checkpoints.registry import REGISTRY

    rows = [HEADINGS] + [
        (
            known.name, known.family, "x".join(map(str, known.shape)), known.schedule,
            known.target, known.licence, known.tried,
            known.address + " (by hand)" * known.page + " (a mirror)" * known.mirror,
        )
        for known in REGISTRY
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
