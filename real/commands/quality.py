"""Compare samples with and without a calibration against real images."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from real.commands.common import (
    BATCHES,
    COMMON,
    IMAGES,
    NETWORK,
    ON_DEVICE,
    RUNNING,
    SOLVER,
    counting,
    on_device,
    opened,
    require_room,
    run_network,
)
from theory.support.command_line import count
from theory.support.output import require_folder

if TYPE_CHECKING:
    from real.families.checkpoint import Checkpoint
    from real.images import ImageSource


def counts(text: str) -> list[int]:
    """Comma-separated positive whole numbers."""
    return [count(part) for part in text.split(",")]


def add(commands: Any) -> None:
    """Its arguments."""
    command = commands.add_parser(
        "quality", parents=[NETWORK, IMAGES, BATCHES, SOLVER, COMMON, ON_DEVICE, RUNNING],
        help="compare samples with and without a calibration against real images",
        description="Draw samples from the same noise with and without a calibration, and measure "
        "their Frechet and kernel distances to real images and the error of their mean colour, "
        "over seeds; write quality.json and a figure. Images other than the digits are dealt "
        "into two: every other one trains the features, the rest are compared with.",
        epilog="example: python -m real quality digits --calibration digits.safetensors "
        "--nfe 5,10,20 --out quality",
    )  # fmt: skip
    command.add_argument("--calibration", type=Path, required=True, metavar="FILE")
    command.add_argument(
        "--nfe", type=counts, default=[5, 10, 20, 50], metavar="N,N,...",
        help="network evaluations per sample, at most (5,10,20,50)",
    )  # fmt: skip
    command.add_argument("--seeds", type=count, default=3, help="repetitions, at least 3 (3)")
    command.add_argument(
        "--samples", type=count, metavar="N", help="samples each time (as many as real images)"
    )
    command.add_argument(
        "--features", metavar="NAME",
        help="pixels, trained (on the images) or inception (default: pixels for tiny images, "
        "else trained)",
    )  # fmt: skip
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from dataclasses import replace

    from real import solvers
    from real.calibrated.calibration_files import load_for
    from real.quality import features
    from real.quality.measure import Plan, Reference, measure
    from real.reports import quality as report
    from real.solvers.sampling import evaluations
    from theory.calibration.network import Calibrated

    require_folder(options.out)
    device = on_device(options.device)
    checkpoint = run_network(options, device)
    calibration = load_for(checkpoint, options.calibration)
    solver = solvers.chosen(options.solver, checkpoint.schedule)
    known, real = _two_sets(checkpoint, options)
    samples = options.samples or len(real)
    require_room(checkpoint, samples=samples)
    plan = Plan(
        checkpoint,
        {"before": checkpoint.predict, "after": Calibrated(checkpoint.predict, calibration)},
        solver,
        tuple(sorted({evaluations(checkpoint, solver, nfe) for nfe in options.nfe})),
        tuple(range(options.seed, options.seed + options.seeds)),
        samples, options.batch_size, device, _conditions(checkpoint, real, samples),
    )  # fmt: skip
    chosen = features.chosen(options.features, known, checkpoint.image_shape, options.seed, device)
    reference = Reference.of(chosen, real, device)
    total = 2 * samples * len(plan.seeds) * sum(plan.nfe)
    with counting(total, "sample", options.quiet) as on_progress:
        rows = list(measure(replace(plan, on_progress=on_progress), reference))
    floor = reference.of_real(known.spread(samples), options.seed)
    numbers = report.numbers(
        plan, reference, rows, floor, calibration=str(options.calibration), data=options.data
    )
    report.write(options.out, numbers)
    for line in report.summary(numbers):
        print(line)
    print(options.out / "quality.png")


def _two_sets(
    checkpoint: "Checkpoint", options: argparse.Namespace
) -> tuple["ImageSource", "ImageSource"]:
    """Images to train features on, and others to compare with."""
    from real.images import DIGITS

    shape = checkpoint.image_shape
    real = opened(options, "held-out", shape)
    if options.data == DIGITS:
        return opened(options, "calibration", shape), real
    return real.every_other(0), real.every_other(1)


def _conditions(
    checkpoint: "Checkpoint", real: "ImageSource", samples: int
) -> Tensor | list[str] | None:
    """Those of the real images, in turn, where the network takes conditions and they have some."""
    if checkpoint.conditions is None or real.labels is None:
        return None
    turns = [i % len(real) for i in range(samples)]
    if isinstance(real.labels, Tensor):
        return real.labels[turns]
    return [real.labels[i] for i in turns]
