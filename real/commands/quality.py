"""Compare samples with and without a calibration against real images."""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from real.commands import arguments as given
from theory.support.command_line import count
from theory.support.output import require_folder


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "quality",
        parents=[
            given.NETWORK, given.IMAGES, given.BATCHES, given.SOLVER, given.COMMON, given.ON_DEVICE,
            given.RUNNING,
        ],
        description="Draw samples from the same noise with and without a calibration, and measure "
        "their Frechet and kernel distances to real images and the error of their mean colour, "
        "over seeds; write quality.json and a figure. Images other than the digits are dealt "
        "into two: every other one trains the features, the rest are compared with.",
        epilog="example: python -m real quality digits --calibration digits.safetensors "
        "--nfe 5,10,20 --out quality",
    )  # fmt: skip
    option = command.add_argument
    option("--calibration", type=Path, required=True, metavar="FILE")
    option(
        "--nfe", type=given.count_list, default=(5, 10, 20, 50), metavar="N,N,...",
        help="network evaluations per sample, at most (5,10,20,50)",
    )  # fmt: skip
    option("--seeds", type=count, default=3, help="repetitions, at least 3 (3)")
    option("--samples", type=count, metavar="N", help="samples each time (as many as real images)")
    option(
        "--features", metavar="NAME",
        help="pixels, trained (on the images) or inception (default: pixels for tiny images, "
        "else trained)",
    )  # fmt: skip
    option("--out", type=Path, required=True, metavar="DIR", help="folder to write")


def run(options: argparse.Namespace) -> None:
    """Sample, compare, write the report and print its summary."""
    require_folder(options.out)
    given.require_inputs(options)
    from real.calibrated.calibration_files import calibrated_by
    from real.commands.loading import (
        ImageRequest,
        NetworkRequest,
        on_device,
        opened,
        run_network,
        settled_batch_size,
        two_parts,
    )
    from real.quality.feature_choice import features_for
    from real.quality.measure import QualityPlan, Reference, measure_quality
    from real.reports.quality import quality_report
    from real.running import require_memory
    from real.solvers.by_name import solver_or_default
    from real.solvers.sampling import evaluations_per_sample

    device = on_device(options.device)
    checkpoint = run_network(NetworkRequest.of(options), device)
    batch_size = settled_batch_size(options.batch_size, checkpoint, device)
    calibrated = calibrated_by(checkpoint, options.calibration)
    solver = solver_or_default(options.solver, checkpoint.schedule)
    shape = checkpoint.image_shape
    known, images = two_parts(
        options.data, partial(opened, ImageRequest.of(options), shape=shape), "held-out"
    )
    samples = options.samples or len(images)
    require_memory("samples", samples, checkpoint.shape)
    in_turn = images.at([i % len(images) for i in range(samples)])
    plan = QualityPlan(
        checkpoint,
        {"before": checkpoint.predict, "after": calibrated},
        solver,
        tuple(sorted({evaluations_per_sample(checkpoint, solver, nfe) for nfe in options.nfe})),
        tuple(range(options.seed, options.seed + options.seeds)),
        samples, batch_size, device,
        None if checkpoint.conditions is None else in_turn.labels,
    )  # fmt: skip
    features = features_for(options.features, known, shape, options.seed, device)
    reference = Reference.of(features, images, device)
    with given.counting(plan.evaluations, "sample", options.quiet) as on_progress:
        rows = list(measure_quality(replace(plan, on_progress=on_progress), reference))
    floor = reference.of_real(known.spread(samples), options.seed)
    settings = {"calibration": str(options.calibration), "data": options.data}
    report = quality_report(plan, reference, rows, settings=settings, real_images=floor)
    report.write(options.out)
    print("\n".join(report.summary))
    print(options.out / "quality.png")
