"""Prove a calibration on held-out images, and write a report."""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from real.commands.common import (
    COMMON,
    DATA,
    NETWORK,
    ON_DEVICE,
    PICTURES,
    counting,
    images_for,
    on_device,
)
from theory.program import require_folder


def add(commands: Any) -> None:
    """Its arguments."""
    command = commands.add_parser(
        "validate", parents=[NETWORK, DATA, PICTURES, COMMON, ON_DEVICE],
        help="prove a calibration on held-out images, and write a report",
        description="Measure a calibration on images that neither training nor calibration has "
        "seen, with paired noise, and write report.json, figures and report.html.",
        epilog="example: python -m real validate digits --calibration digits.safetensors "
        "--data digits --out report",
    )  # fmt: skip
    command.add_argument("--calibration", type=Path, required=True, metavar="FILE")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from real import calibrations, report, solvers
    from real.checkpoints import load
    from real.sampling import evaluations, latents, sample
    from theory.calibration import Calibrated
    from theory.validation import validate

    require_folder(options.out)
    device = on_device(options.device)
    calibration = calibrations.load(options.calibration)
    checkpoint = load(options.checkpoint, device, options.family)
    calibration.require(
        checkpoint.schedule, checkpoint.target, checkpoint.shape, checkpoint.fingerprint
    )
    solver = solvers.chosen(options.solver, checkpoint.schedule)
    sampling = 2 * options.samples * evaluations(checkpoint, solver, options.nfe)
    images = images_for(checkpoint, options, "held-out", device)
    measuring = len(images) * len(calibration.times) * options.draws
    with counting(measuring, "validate", options.quiet) as on_progress:
        validation = validate(
            checkpoint.predict, calibration, images=images, seed=options.seed,
            draws=options.draws, device=device, on_progress=on_progress,
        )  # fmt: skip
    noise = latents(checkpoint, options.samples, options.seed).to(device)
    with counting(sampling, "sample", options.quiet) as on_progress:
        drawn = partial(
            sample, checkpoint, noise=noise, solver=solver, nfe=options.nfe, seed=options.seed,
            batch_size=options.batch_size, on_progress=on_progress,
        )  # fmt: skip
        before = drawn(checkpoint.predict)
        after = drawn(Calibrated(checkpoint.predict, calibration))
    numbers = report.numbers(
        checkpoint, validation, report.sampling(before, after),
        data=options.data, seed=options.seed, draws=options.draws,
    )  # fmt: skip
    shown = next(iter(replace(images, batch_size=options.samples)))
    if checkpoint.codec:
        shown = checkpoint.codec.decode(shown.to(device)).cpu()
    report.write(options.out, numbers, before.images, after.images, shown)
    for line in report.summary(numbers):
        print(line)
    print(f"report: {options.out / 'report.html'}")
