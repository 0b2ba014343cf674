"""Re-read published plain-average statistics."""

import argparse
from pathlib import Path
from typing import Any

from real.commands import arguments as given
from theory.support.command_line import count, file_named
from theory.support.errors import InputError
from theory.support.output import keep, require_file, require_other


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
    option("--out", type=file_named(".png"), metavar="PNG", help="draw the noise floor here")
    given.add_report(command)


def run(options: argparse.Namespace) -> None:
    """Print the audit, and draw it where that is asked for."""
    if options.out:
        require_file(options.out)
        require_other(options.out, options.statistics)
    given.require_report(options)
    if not options.statistics.is_file():
        raise InputError(
            "statistics: expected an .npz file with an array 'stats' (times, 4), "
            f"{options.statistics} does not exist"
        )
    from real.reports.audit import audit_report, read_statistics
    from real.reports.origin import Origin
    from theory.calibration.audit import audit

    t, mean_sq, weighted, energy = read_statistics(options.statistics)
    result = audit(mean_sq, weighted, energy, options.images, options.dim)
    report = audit_report(
        t, mean_sq, result, Origin(options.as_typed), images=options.images, dim=options.dim
    )
    if options.out:
        keep(options.out, report.write_figure)
    if options.report:
        keep(options.report, report.write_page)
    print("\n".join(report.lines))
