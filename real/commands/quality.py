"""Compare samples with and without a calibration against real images."""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from real.commands import arguments as given
from theory.support.command_line import folder_named
from theory.support.errors import InputError
from theory.support.output import keep, require_folder

if TYPE_CHECKING:
    from real.families.checkpoint import Checkpoint
    from real.images.base import ImageSource
    from real.quality.measure import Sampler

DEFAULT_NFE = (5, 10, 20, 50)


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "quality",
        parents=[
            given.NETWORK,
            given.IMAGES,
            given.BATCHES,
            given.SOLVER,
            given.COMMON,
            given.ON_DEVICE,
            given.RUNNING,
            given.BRANCHES,
        ],
        description="Draw samples from the same noise with and without a calibration, and measure "
        "their Frechet and kernel distances to real images and the error of their mean colour, "
        "over seeds; write quality.html, the same in quality.json, and a figure. Images other than the "
        "digits are dealt into two: every other one trains the features, the rest are compared with.",
        epilog="example: python -m real quality digits --calibration digits.safetensors "
        "--nfe 5,10,20 --out quality",
    )
    option = command.add_argument
    option("--calibration", type=Path, metavar="FILE")
    option(
        "--fitted", type=Path, metavar="FILE",
        help="solver that `fit-solver` wrote, with the calibration if it was fitted with one",
    )  # fmt: skip
    option(
        "--nfe", type=given.count_list, metavar="N,N,...",
        help="network evaluations per sample, at most (5,10,20,50; those of a fitted solver)",
    )  # fmt: skip
    option("--seeds", type=given.seeds, default=3, help="repetitions, at least 3 (3)")
    option(
        "--samples", type=given.samples, metavar="N",
        help="samples each time (as many as real images)",
    )  # fmt: skip
    option(
        "--features", metavar="NAME",
        help="pixels, trained (on the images) or inception (default: pixels for tiny images, "
        "else trained)",
    )  # fmt: skip
    option("--out", type=folder_named, required=True, metavar="DIR", help="folder to write")


def run(options: argparse.Namespace) -> None:
    """Sample, compare, write the report and print its summary."""
    require_folder(options.out)
    if options.calibration is options.unconditional is options.fitted is None:
        raise InputError("quality: expected --calibration or --fitted, to compare with neither")
    given.require_inputs(options)
    given.require_own_folder(options.out)
    from real.calibrated.fitted_solvers import digest_of
    from real.commands.loading import (
        ImageRequest,
        NetworkRequest,
        on_device,
        opened,
        run_network,
        settled_batch_size,
        told_evaluations,
        two_parts_to_compare,
    )
    from real.quality.feature_choice import features_for
    from real.quality.measure import QualityPlan, Reference, measure_quality
    from real.reports.origin import Origin
    from real.reports.quality import quality_report
    from real.running import require_memory, resumable

    device = on_device(options.device)
    checkpoint = run_network(NetworkRequest.of(options), device)
    batch_size = settled_batch_size(options.batch_size, checkpoint, device)
    samplers, asked = _samplers(checkpoint, options)
    evaluations = told_evaluations(checkpoint, samplers["before"].name, asked)
    shape = checkpoint.image_shape
    known, images = two_parts_to_compare(
        options.data, partial(opened, ImageRequest.of(options), shape=shape), "held-out"
    )
    if options.calibration and (known_before := _calibrated_with(images, options.calibration)):
        print(
            f"caution: {known_before} of the {len(images)} images that samples are compared with are of "
            "those that the calibration was made from; give others as --data"
        )
    samples = options.samples or len(images)
    require_memory("samples", samples, checkpoint.shape)
    in_turn = images.in_turn(samples)
    plan = QualityPlan(
        checkpoint,
        samplers,
        evaluations,
        tuple(range(options.seed, options.seed + options.seeds)),
        samples, batch_size, device,
        None if checkpoint.conditions is None else in_turn.labels,
    )  # fmt: skip
    features = features_for(options.features, known, shape, options.seed, device)
    reference = Reference.of(features, images, device)
    with (
        resumable(checkpoint, options.out) as network,
        given.counting(plan.evaluations, "sample", options.quiet) as on_progress,
    ):
        samplers, _ = _samplers(network, options)
        kept = replace(plan, checkpoint=network, samplers=samplers, on_progress=on_progress)
        rows = list(measure_quality(kept, reference))
        floor = reference.of_real(known.spread(samples), options.seed)
        settings = {
            "calibration": options.calibration and str(options.calibration),
            "unconditional": options.unconditional and str(options.unconditional),
            "fitted": options.fitted and str(options.fitted),
            "data": options.data,
            "guidance": options.guidance,
            "solver": samplers["before"].name,
            "nfe": ", ".join(map(str, evaluations)),
            "samples": samples,
            "seed": options.seed,
            "seeds": options.seeds,
        }
        digest = digest_of(options.calibration)
        report = quality_report(
            plan,
            reference,
            rows,
            origin=Origin(options.as_typed),
            settings=settings,
            real_images=floor,
            digest=digest,
        )
        keep(options.out, report.write)
    print("\n".join(report.lines))
    print(f"report: {options.out / 'quality.html'}")


def _calibrated_with(images: "ImageSource", calibration: Path) -> int:
    """How many of the images a calibration was made from."""
    import torch

    from theory.calibration import Calibration
    from theory.forward.fingerprints import image_ids

    seen = Calibration.load(calibration).image_ids
    return sum(int(torch.isin(image_ids(batch), seen).sum()) for batch in images)


def _samplers(
    checkpoint: "Checkpoint", options: argparse.Namespace
) -> tuple[dict[str, "Sampler"], tuple[int, ...]]:
    """The network as it is and as the options say, and the numbers of evaluations to compare at."""
    from real.calibrated.fitted_solvers import load_fitted
    from real.commands.loading import prediction_for
    from real.quality.measure import Sampler
    from real.solvers.by_name import solver_or_default
    from real.solvers.fitted import as_solver

    calibrations = options.calibration, options.unconditional
    calibrated = prediction_for(checkpoint, *calibrations, options.guidance)
    bare = prediction_for(checkpoint, None, None, options.guidance)
    if options.fitted is None:
        solver = solver_or_default(options.solver, checkpoint.schedule)
        return {
            "before": Sampler(bare, solver),
            "after": Sampler(calibrated, solver),
        }, options.nfe or DEFAULT_NFE
    fitted = load_fitted(
        checkpoint, options.fitted, guidance=options.guidance, calibrations=calibrations
    )
    own, solver = len(fitted.base), fitted.provenance["solver"]
    if options.nfe not in (None, (own,)) or options.solver not in (None, solver):
        raise InputError(f"fitted solver: expected {own} evaluations of {solver}, as it was fitted")
    return {
        "before": Sampler(bare, solver),
        "after": Sampler(calibrated, as_solver(fitted)),
    }, (own,)
