"""Quantize or prune a network, calibrate it, and save both together."""

import argparse
from dataclasses import replace
from functools import partial
from typing import Any

from real.commands import arguments as given
from real.commands.choices import AGAINST
from theory.support.command_line import count, folder_named
from theory.support.errors import InputError
from theory.support.output import keep, require_folder


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "repair",
        parents=[given.NETWORK, given.DATA, given.COMMON, given.ON_DEVICE, given.CONDITION],
        description="Round or prune the weights of convolutions and linear layers, calibrate the "
        "network that remains, compare it with full precision on held-out images, and save network, "
        "calibration and comparison in one folder, which loads as a checkpoint. Images other than "
        "the digits are dealt into two: every other one to calibrate, the rest held out.",
        epilog="example: python -m real repair digits --quantize int4 --out digits-int4",
    )  # fmt: skip
    option = command.add_argument
    option(
        "--quantize", metavar="FORMAT",
        help="int8, int4, int3, fp8, float16, bfloat16, or torchao-int8, torchao-int4 (linear "
        "layers only, by that library)",
    )  # fmt: skip
    option(
        "--prune", type=given.fraction, metavar="P",
        help="set this share of each weight tensor to zero",
    )  # fmt: skip
    option(
        "--order", type=int, choices=(0, 1), default=1,
        help="subtract a constant, or also what is affine in x_t and the prediction (1)",
    )  # fmt: skip
    option(
        "--times", type=count, default=50, metavar="N",
        help="number of times, equally spaced in log-SNR (50)",
    )  # fmt: skip
    given.add_policy(command)
    given.add_strict(command)
    option(
        "--against", choices=AGAINST, default="truth",
        help="keep the calibration against the known truth (default) or against the predictions of "
        "the original network; both are compared",
    )  # fmt: skip
    option("--out", type=folder_named, required=True, metavar="DIR", help="folder to write")


def run(options: argparse.Namespace) -> int:
    """Repair, write the folder and print the summary."""
    if options.quantize is None and options.prune is None:
        raise InputError("repair: expected --quantize or --prune")
    require_folder(options.out)
    given.require_inputs(options)
    from real.calibrated.repair import RepairSettings, repair
    from real.commands import loading
    from real.compress import Damage
    from real.compress.repaired_folder import NAME as REPAIRED
    from real.reports.origin import Origin
    from real.reports.repair import write_repair
    from real.running import going_on, require_memory
    from theory.statistics.shrinkage import POLICIES

    damage = Damage(options.quantize, options.prune)
    device = loading.on_device(options.device)
    original = loading.load_checkpoint(loading.NetworkRequest.of(options), device)
    if original.family == REPAIRED:
        raise InputError(f"repair: {original.reference} is repaired already; name its original")
    batch_size = loading.settled_batch_size(options.batch_size, original, device)
    wanted = loading.ImageRequest.of(options)
    images, held_out = loading.two_parts(
        options.data, lambda role: loading.images_for(original, wanted, role, device, batch_size)
    )
    draws = options.draws * min(batch_size, len(images))
    require_memory("draws", draws, original.shape)
    settings = RepairSettings(
        loading.spread_times(original.schedule, options.times), options.order,
        POLICIES[options.policy], options.against, options.seed, options.draws, device,
        condition=options.condition,
    )  # fmt: skip
    total = settings.evaluations(len(images), len(held_out))
    with going_on(options.out, original, vars(options)) as progress:
        with given.counting(total, "repair", options.quiet) as on_progress:
            settings = replace(settings, on_progress=on_progress, progress=progress)
            found = repair(original, damage, images, held_out, settings)
        write = partial(write_repair, repair=found, origin=Origin(options.as_typed))
        report = keep(options.out, write)
    print("\n".join(report.lines))
    print(f"report: {options.out / 'repair.html'}")
    return int(options.strict and found.calibration.warning() is not None)
