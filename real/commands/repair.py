"""Quantize or prune a network, calibrate it, and save both together."""

import argparse
from pathlib import Path
from typing import Any

from real.commands.common import (
    COMMON,
    CONDITION,
    DATA,
    NETWORK,
    ON_DEVICE,
    counting,
    fraction,
    images_for,
    on_device,
    require_room,
    settle_batch_size,
    spread_times,
)
from theory.statistics.shrinkage import POLICIES
from theory.support.command_line import count
from theory.support.errors import InputError
from theory.support.output import require_folder


def add(commands: Any) -> None:
    """Its arguments."""
    command = commands.add_parser(
        "repair", parents=[NETWORK, DATA, COMMON, ON_DEVICE, CONDITION],
        help="quantize or prune a network, calibrate it, and save both together",
        description="Round or prune the weights of convolutions and linear layers, calibrate the "
        "network that remains, compare it with full precision on held-out images, and save network, "
        "calibration and comparison in one folder, which loads as a checkpoint. Images other than "
        "the digits are dealt into two: every other one to calibrate, the rest held out.",
        epilog="example: python -m real repair digits --quantize int4 --out digits-int4",
    )  # fmt: skip
    command.add_argument(
        "--quantize", metavar="FORMAT",
        help="int8, int4, int3, fp8, float16, bfloat16, or torchao-int8, torchao-int4 (linear "
        "layers only, by that library)",
    )  # fmt: skip
    command.add_argument(
        "--prune", type=fraction, metavar="P", help="set this share of each weight tensor to zero"
    )
    command.add_argument(
        "--order", type=int, choices=(0, 1), default=1,
        help="subtract a constant, or also what is affine in x_t and the prediction (1)",
    )  # fmt: skip
    command.add_argument(
        "--times", type=count, default=50, metavar="N",
        help="number of times, equally spaced in log-SNR (50)",
    )  # fmt: skip
    command.add_argument(
        "--policy", choices=list(POLICIES), default="certified",
        help="apply only what is certain to gain (default), all that gains in expectation, or all",
    )  # fmt: skip
    command.add_argument(
        "--against", choices=("truth", "original"), default="truth",
        help="keep the calibration against the known truth (default) or against the predictions of "
        "the original network; both are compared",
    )  # fmt: skip
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from real.calibrated.repair import Settings, evaluations, repair
    from real.checkpoints.loading import load
    from real.compress import Damage
    from real.compress.repaired_folder import NAME as REPAIRED
    from real.images import DIGITS
    from real.reports import repair as repair_report

    if options.quantize is None and options.prune is None:
        raise InputError("repair: expected --quantize or --prune")
    damage = Damage(options.quantize, options.prune)
    require_folder(options.out)
    device = on_device(options.device)
    original = load(options.checkpoint, device, options.family)
    if original.family == REPAIRED:
        raise InputError(f"repair: {original.reference} is repaired already; name its original")
    settle_batch_size(original, options, device)
    images = images_for(original, options, "calibration", device)
    if options.data == DIGITS:
        held_out = images_for(original, options, "held-out", device)
    else:
        images, held_out = images.every_other(0), images.every_other(1)
    require_room(original, draws=options.draws * min(options.batch_size, len(images)))
    settings = Settings(
        spread_times(original.schedule, options.times), options.order,
        POLICIES[options.policy], options.against, options.seed, options.draws, device,
        condition=options.condition,
    )  # fmt: skip
    total = evaluations(settings, len(images), len(held_out))
    with counting(total, "repair", options.quiet) as on_progress:
        found = repair(original, damage, images, held_out, settings.telling(on_progress))
    for line in repair_report.summary(repair_report.write(options.out, found)):
        print(line)
    print(options.out / "repair.html")
