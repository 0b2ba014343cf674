"""How much of the bare network's throughput a calibration keeps."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from real.commands import arguments as given
from theory.support.command_line import count
from theory.support.output import keep, require_file, write_json


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "throughput",
        parents=[given.NETWORK, given.IMAGES, given.BATCHES, given.COMMON, given.ON_DEVICE, given.RUNNING],
        description="Time whole calibrations against the bare network calls in them, taking turns "
        "on the same machine.",
        epilog="example: python -m real throughput digits --batch-size auto --dtype bfloat16",
    )  # fmt: skip
    option = command.add_argument
    option("--times", type=count, default=10, metavar="N", help="times (10)")
    option("--order", type=int, choices=[0, 1], default=1, help="of calibration (1)")
    option("--turns", type=count, default=5, metavar="N", help="of each (5)")
    option("--out", type=Path, metavar="FILE", help="write the seconds as JSON")


def run(options: argparse.Namespace) -> None:
    """Time both and print the ratio."""
    if options.out:
        require_file(options.out)
    given.require_inputs(options)
    from dataclasses import asdict

    from real.calibrated.calibrate import calibrate_checkpoint
    from real.calibrated.conditions import of_images
    from real.commands.loading import (
        ImageRequest,
        NetworkRequest,
        images_for,
        on_device,
        run_network,
        settled_batch_size,
        spread_times,
    )
    from real.running import throughput

    device = on_device(options.device)
    checkpoint = run_network(NetworkRequest.of(options), device)
    batch_size = settled_batch_size(options.batch_size, checkpoint, device)
    images = images_for(checkpoint, ImageRequest.of(options), "calibration", device, batch_size)
    times = spread_times(checkpoint.schedule, options.times)
    whole = partial(
        calibrate_checkpoint, checkpoint, images, times, seed=options.seed, device=device,
        conditions=of_images(checkpoint, images, "joint"), order=options.order,
    )  # fmt: skip
    found = throughput(checkpoint, whole, len(images), times, batch_size, options.turns, device)
    best = found.evaluations / min(found.bare)
    print(f"{best:,.0f} bare network evaluations per second, batches of {batch_size}")
    print(f"a calibration of order {options.order} runs at {found.ratio:.1%} of it (median)")
    if options.out:
        values = {"ratio": found.ratio, "device": str(device), **asdict(found)}
        keep(options.out, partial(write_json, value=values))
        print(options.out)
