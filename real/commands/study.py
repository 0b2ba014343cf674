"""Compare the estimators on a checkpoint."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from real.commands.common import (
    COMMON,
    CONDITION,
    NETWORK,
    ON_DEVICE,
    counting,
    on_device,
    spread_times,
)
from theory.support.command_line import count
from theory.support.output import require_folder


def add(commands: Any) -> None:
    """Its arguments."""
    command = commands.add_parser(
        "study", parents=[NETWORK, COMMON, ON_DEVICE, CONDITION],
        help="compare the estimators: error against evaluations, gain against images",
        description="Compare the estimators on a checkpoint: error against a very large run, and "
        "held-out gain against the number of images, over seeds. Images other than the digits are "
        "dealt into two: every other one to calibrate, the rest held out.",
        epilog="example: python -m real study digits --out study",
    )  # fmt: skip
    command.add_argument("--data", default="digits", metavar="DATA", help="as for calibrate")
    command.add_argument(
        "--times", type=count, default=12, metavar="N", help="number of times (12)"
    )
    command.add_argument("--seeds", type=count, default=5, metavar="N", help="repetitions (5)")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from real.calibrated.conditions import Conditioned
    from real.checkpoints.loading import load
    from real.experiments.study import Plan, study
    from real.experiments.study_report import write
    from real.images import DIGITS, open_images

    require_folder(options.out)
    device = on_device(options.device)
    checkpoint = load(options.checkpoint, device, options.family)
    images = open_images(options.data, "calibration", checkpoint.image_shape)
    if options.data == DIGITS:
        held_out = open_images(options.data, "held-out", checkpoint.image_shape)
    else:
        images, held_out = images.every_other(0), images.every_other(1)
    taken = [
        Conditioned.of(checkpoint, source, options.condition, device)
        for source in (images, held_out)
    ]
    plan = Plan(
        checkpoint, taken[0], taken[1],
        spread_times(checkpoint.schedule, options.times), options.seeds, 32, options.seed, device,
    )  # fmt: skip
    with counting(plan.evaluations(), "study", options.quiet) as on_progress:
        result = study(replace(plan, on_progress=on_progress))
    write(options.out, plan, result)
    print(options.out / "study.html")
