"""Say at which times a network is miscalibrated, and stop when it is known."""

import argparse
from dataclasses import asdict
from functools import partial
from typing import Any

from real.commands import arguments as given
from theory.support.command_line import count, file_named
from theory.support.output import keep, require_file, write_json

DEFAULT_TIMES = 20


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "test",
        parents=[given.NETWORK, given.IMAGES, given.BATCHES, given.COMMON, given.ON_DEVICE,
                 given.RUNNING, given.CONDITION],
        description="Bet against the hypothesis that the mean of the predicted image is that of the images, "
        "at each time. Wherever the wealth is large the network is miscalibrated, with probability 0.05 of "
        "any error, whenever one stops.",
        epilog="example: python -m real test digits --data digits --times 10",
    )  # fmt: skip
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--times", type=count, default=DEFAULT_TIMES, metavar="N",
        help=f"number of times, equally spaced in log-SNR ({DEFAULT_TIMES})",
    )  # fmt: skip
    where.add_argument(
        "--at", type=given.number_list, metavar="T,T,...", help="these times instead"
    )
    command.add_argument(
        "--out", type=file_named(".json"), metavar="FILE", help="write the verdicts as JSON"
    )


def run(options: argparse.Namespace) -> None:
    """Bet, and say what is known."""
    if options.out:
        require_file(options.out)
    given.require_inputs(options)
    import torch

    from real.calibrated.conditions import of_images
    from real.commands import loading
    from theory.calibration.miscalibration import betting_test

    device = loading.on_device(options.device)
    checkpoint = loading.run_network(loading.NetworkRequest.of(options), device)
    batch_size = loading.settled_batch_size(options.batch_size, checkpoint, device)
    images = loading.images_for(
        checkpoint, loading.ImageRequest.of(options), "calibration", device, batch_size
    )
    generator = torch.Generator().manual_seed(options.seed)
    images = images.at(torch.randperm(len(images), generator=generator).tolist())
    schedule = checkpoint.schedule
    times = (
        schedule.times(options.at) if options.at else loading.spread_times(schedule, options.times)
    )
    with given.counting(len(images) * len(times), "test", options.quiet) as on_progress:
        found = betting_test(
            checkpoint.predict, schedule, target=checkpoint.target, images=images, times=times,
            conditions=of_images(checkpoint, images, options.condition), seed=options.seed,
            data_range=checkpoint.data_range, device=device, on_progress=on_progress,
        )  # fmt: skip
    for verdict in found.times:
        known = f"miscalibrated, known after {verdict.known_after} images"
        said = known if verdict.known_after else "nothing is proven"
        print(f"t = {verdict.t:g}: {said} (e-value {verdict.e_value:.3g})")
    print(
        f"miscalibrated at {found.miscalibrated} of {len(found.times)} times, from {found.images} of "
        f"{len(images)} images; enough is an e-value of {found.threshold:g} (Bonferroni), so that an error "
        "of any kind has probability 0.05 at most"
    )
    if options.out:
        keep(options.out, partial(write_json, value=asdict(found)))
