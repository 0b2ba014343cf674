"""Estimate a calibration and save it."""

import argparse
from pathlib import Path
from typing import Any

from real.commands.common import (
    COMMON,
    DATA,
    NETWORK,
    ON_DEVICE,
    counting,
    fraction,
    images_for,
    on_device,
    times,
)
from theory.program import count, require_file
from theory.shrinkage import POLICIES


def add(commands: Any) -> None:
    """Its arguments."""
    command = commands.add_parser(
        "calibrate", parents=[NETWORK, DATA, COMMON, ON_DEVICE],
        help="estimate the shift of a network at each time",
        description="Estimate the mean error of a network's prediction at each time, and save it.",
        epilog="example: python -m real calibrate digits --data digits --out digits.safetensors",
    )  # fmt: skip
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    command.add_argument(
        "--times", type=count, default=50, metavar="N",
        help="number of times, equally spaced in log-SNR (50)",
    )  # fmt: skip
    command.add_argument("--at", type=times, metavar="T,T,...", help="these times instead")
    command.add_argument(
        "--policy", choices=list(POLICIES), default="certified",
        help="apply only what is certain to gain (default), all that gains in expectation, or all",
    )  # fmt: skip
    command.add_argument(
        "--budget", type=count, metavar="N",
        help="spend at most N network evaluations, where they lower the error of the bound most",
    )  # fmt: skip
    command.add_argument(
        "--precision", type=fraction, metavar="P",
        help="stop when the error of the shifts is P of their energy (e.g. 0.05)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from real import calibrations
    from real.calibrating import calibrate_checkpoint, described
    from real.checkpoints import load
    from theory.budget import Goal

    require_file(options.out)
    device = on_device(options.device)
    checkpoint = load(options.checkpoint, device, options.family)
    images = images_for(checkpoint, options, "calibration", device)
    times = checkpoint.schedule.times(options.at or checkpoint.schedule.grid(options.times))
    goal = None
    if options.budget or options.precision:
        goal = Goal(options.budget, options.precision)
    most = options.budget or len(images) * len(times) * (2 if goal else options.draws)
    with counting(most, "calibrate", options.quiet) as on_progress:
        calibration = calibrate_checkpoint(
            checkpoint, images, times, seed=options.seed, draws=options.draws, goal=goal,
            policy=POLICIES[options.policy], device=device, on_progress=on_progress,
        )  # fmt: skip
    calibrations.save(calibration, options.out)
    print(options.out)
    for line in described(calibration):
        print(line)
