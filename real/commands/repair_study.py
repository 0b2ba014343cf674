"""Compare calibration with other corrections on damaged networks."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from real.commands.common import (
    COMMON,
    CONDITION,
    IMAGES,
    NETWORK,
    ON_DEVICE,
    SOLVER,
    counting,
    on_device,
    opened,
    require_room,
    spread_times,
)
from theory.support.command_line import count
from theory.support.output import require_folder


def counts(text: str) -> tuple[int, ...]:
    """Comma-separated positive whole numbers."""
    return tuple(count(part) for part in text.split(","))


def add(commands: Any) -> None:
    """Its arguments."""
    command = commands.add_parser(
        "repair-study", parents=[NETWORK, IMAGES, SOLVER, COMMON, ON_DEVICE, CONDITION],
        help="compare calibration with other corrections on networks of 8, 4 and 3 bits",
        description="Round a network to 8, 4 and 3 bits, correct each by calibration and as others "
        "published, at equal network evaluations, and measure the held-out denoising loss and the "
        "Frechet distance of samples from the same noise. Images other than the digits are dealt "
        "into two.",
        epilog="example: python -m real repair-study digits --out repair-study",
    )  # fmt: skip
    command.add_argument(
        "--times", type=count, default=25, metavar="N", help="number of times (25)"
    )
    command.add_argument("--seeds", type=count, default=3, metavar="N", help="repetitions (3)")
    command.add_argument(
        "--nfe", type=counts, default=(5, 10, 20, 50), metavar="N,N,...",
        help="network evaluations per sample; all corrections are compared with 20 (5,10,20,50)",
    )  # fmt: skip
    command.add_argument(
        "--samples", type=count, metavar="N", help="samples each time (as many as held-out images)"
    )
    command.add_argument(
        "--few", type=count, default=100, metavar="N", help="images to look for harm with (100)"
    )
    command.add_argument(
        "--few-seeds", type=count, default=10, metavar="N", help="choices of them (10)"
    )
    command.add_argument(
        "--features", metavar="NAME", help="pixels, trained or inception, as for quality"
    )
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from real import solvers
    from real.calibrated.conditions import Conditioned
    from real.checkpoints.loading import load
    from real.experiments.repair_study import Plan, evaluations, study
    from real.experiments.repair_study_report import summary, write
    from real.images import DIGITS
    from real.quality import features
    from real.quality.measure import Reference

    require_folder(options.out)
    device = on_device(options.device)
    checkpoint = load(options.checkpoint, device, options.family)
    images = opened(options, "calibration", checkpoint.image_shape)
    if options.data == DIGITS:
        held_out = opened(options, "held-out", checkpoint.image_shape)
    else:
        images, held_out = images.every_other(0), images.every_other(1)
    samples = options.samples or len(held_out)
    require_room(checkpoint, samples=samples)
    chosen = features.chosen(options.features, images, checkpoint.image_shape, options.seed, device)
    taken = [
        Conditioned.of(checkpoint, source, options.condition, device)
        for source in (images, held_out)
    ]
    plan = Plan(
        checkpoint, taken[0], taken[1],
        spread_times(checkpoint.schedule, options.times),
        tuple(range(options.seed, options.seed + options.seeds)), options.nfe,
        samples, solvers.chosen(options.solver, checkpoint.schedule),
        options.few, options.few_seeds, device,
    )  # fmt: skip
    reference = Reference.of(chosen, held_out, device)
    with counting(evaluations(plan), "repair-study", options.quiet) as on_progress:
        found = study(replace(plan, on_progress=on_progress), reference)
    floor = reference.of_real(images.spread(plan.samples), options.seed)["frechet"]
    for line in summary(write(options.out, plan, found, chosen.distance, floor)):
        print(line)
    print(options.out / "repair-study.html")
