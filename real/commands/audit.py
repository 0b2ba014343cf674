"""Re-read published plain-average statistics."""

import argparse
from pathlib import Path
from typing import Any

from theory.support.command_line import count
from theory.support.errors import InputError
from theory.support.output import require_file, require_other


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "audit",
        description="Re-read published statistics of a plain average (array 'stats': t, |mean|^2, "
        "|mean|^2 (SNR_s/SNR_t - 1), E|y|^2) and say how much of the claimed gain is noise.",
        epilog="example: python -m real audit score_stats.npz --images 50000 --dim 3072 "
        "--out audit.png",
    )
    option = command.add_argument
    option("statistics", type=Path, metavar="STATS", help=".npz file")
    option("--images", type=count, required=True, metavar="N", help="draws averaged")
    option("--dim", type=count, required=True, metavar="D", help="pixels of an image")
    option("--out", type=Path, metavar="PNG", help="draw the noise floor here")


def run(options: argparse.Namespace) -> None:
    """Print the audit, and draw it where that is asked for."""
    if options.out:
        require_file(options.out)
        require_other(options.out, options.statistics)
    if not options.statistics.is_file():
        raise InputError(
            "statistics: expected an .npz file with an array 'stats' (times, 4), "
            f"{options.statistics} does not exist"
        )
    from real.reports.audit import audit_summary, read_statistics, save_audit_figure
    from theory.calibration.audit import audit

    t, mean_sq, weighted, energy = read_statistics(options.statistics)
    result = audit(mean_sq, weighted, energy, options.images, options.dim)
    if options.out:
        save_audit_figure(options.out, t, mean_sq, result)
    for line in audit_summary(result):
        print(line)
