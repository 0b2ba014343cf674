"""Prove a calibration on held-out images, and write a report."""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from real.commands import arguments as given
from real.commands.choices import ANALYTIC, NFE, SOLVERS
from theory.support.command_line import folder_named
from theory.support.output import keep, require_folder


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "validate",
        parents=[given.NETWORK, given.DATA, given.PICTURES, given.COMMON, given.ON_DEVICE, given.RUNNING],
        description="Measure a calibration on images that neither training nor calibration has "
        "seen, with paired noise, and write report.html, the same in report.json, and figures.",
        epilog="example: python -m real validate digits --calibration digits.safetensors "
        "--data digits --out report",
    )  # fmt: skip
    option = command.add_argument
    given.add_strict(command)
    option("--calibration", type=Path, required=True, metavar="FILE")
    option(
        "--quality", type=Path, metavar="DIR",
        help="show distances of samples that `quality` measured with the same calibration, too",
    )  # fmt: skip
    option("--out", type=folder_named, required=True, metavar="DIR", help="folder to write")


def run(options: argparse.Namespace) -> int:
    """Validate, sample, write the report and print its summary."""
    require_folder(options.out)
    given.require_inputs(options, (*SOLVERS, ANALYTIC))
    given.require_own_folder(options.out)
    from real.calibrated.calibration_files import load_for
    from real.calibrated.conditions import of_images, of_samples
    from real.calibrated.fitted_solvers import digest_of
    from real.commands.loading import (
        ImageRequest,
        NetworkRequest,
        images_for,
        on_device,
        run_network,
        settled_batch_size,
    )
    from real.reports.origin import Origin
    from real.reports.quality import read_quality
    from real.reports.validation import validation_report
    from real.running import going_on, require_memory
    from real.solvers.by_name import solver_pair
    from real.solvers.sampling import evaluations_per_sample, latents, sample, sampled_once
    from theory.calibration import Calibrated, validate

    device, nfe = on_device(options.device), options.nfe or NFE
    checkpoint = run_network(NetworkRequest.of(options), device)
    batch_size = settled_batch_size(options.batch_size, checkpoint, device)
    calibration = load_for(checkpoint, options.calibration)
    without, calibrated = solver_pair(options.solver, checkpoint.schedule, calibration)
    sampling = 2 * options.samples * evaluations_per_sample(checkpoint, without, nfe)
    digest, distances = digest_of(options.calibration), []
    if options.quality:
        distances.append(read_quality(options.quality, checkpoint.fingerprint, digest))
    images = images_for(checkpoint, ImageRequest.of(options), "held-out", device, batch_size)
    require_memory("samples", options.samples, checkpoint.shape)
    draws = options.draws * min(batch_size, len(images))
    require_memory("draws", draws, checkpoint.shape)
    conditions = of_images(checkpoint, images, calibration.provenance.get("condition", "joint"))
    measuring = len(images) * len(calibration.times) * options.draws
    with going_on(options.out, checkpoint, vars(options), str(digest)) as progress:
        with given.counting(measuring, "validate", options.quiet) as on_progress:
            validation = validate(
                checkpoint.predict, calibration, images=images, seed=options.seed, draws=options.draws,
                conditions=conditions, device=device, on_progress=on_progress, progress=progress,
            )  # fmt: skip
        if not progress.is_first:
            return 0
        progress = progress.alone()
        noise = latents(checkpoint, options.samples, options.seed).to(device)
        with given.counting(sampling, "sample", options.quiet) as on_progress:
            drawn = partial(
                sample, checkpoint, noise=noise, nfe=nfe, seed=options.seed,
                condition=of_samples(checkpoint, options.samples, None),
                batch_size=batch_size, on_progress=on_progress,
            )  # fmt: skip
            before = sampled_once(
                progress, "without", partial(drawn, checkpoint.predict, solver=without)
            )
            after = sampled_once(
                progress, "calibrated",
                partial(drawn, Calibrated(checkpoint.predict, calibration), solver=calibrated),
            )  # fmt: skip
        held_out = next(iter(replace(images, batch_size=options.samples)))
        if checkpoint.codec:
            held_out = checkpoint.codec.decode(held_out.to(device)).cpu()
        report = validation_report(
            checkpoint, validation, (before, after), held_out,
            origin=Origin(options.as_typed, options.calibration), distances=distances,
            allowed=nfe, calibration=str(options.calibration), data=options.data, seed=options.seed,
            draws=options.draws, solver=without.name, nfe=before.nfe, samples=options.samples,
        )  # fmt: skip
        keep(options.out, report.write)
    print("\n".join(report.lines))
    print(f"report: {options.out / 'report.html'}")
    return int(options.strict and validation.warning() is not None)
