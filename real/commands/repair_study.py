"""Compare calibration with other corrections on damaged networks."""

import argparse
from dataclasses import replace
from functools import partial
from typing import Any

from real.commands import arguments as given
from theory.support.command_line import count, folder_named
from theory.support.errors import InputError
from theory.support.output import keep, require_folder

FEW = 100


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "repair-study",
        parents=[given.NETWORK, given.IMAGES, given.SOLVER, given.COMMON, given.ON_DEVICE, given.CONDITION],
        description="Round a network to 8, 4 and 3 bits, correct each by calibration and as others "
        "published, at equal network evaluations, and measure the held-out denoising loss and the "
        "Frechet distance of samples from the same noise. Images other than the digits are dealt "
        "into two.",
        epilog="example: python -m real repair-study digits --out repair-study",
    )  # fmt: skip
    option = command.add_argument
    option("--times", type=count, default=25, metavar="N", help="number of times (25)")
    option("--seeds", type=given.seeds, default=3, metavar="N", help="repetitions, at least 3 (3)")
    option(
        "--nfe", type=given.count_list, default=(5, 10, 20, 50), metavar="N,N,...",
        help="network evaluations per sample; all corrections are compared with 20, "
        "or else with the most (5,10,20,50)",
    )  # fmt: skip
    option(
        "--samples",
        type=given.samples,
        metavar="N",
        help="samples each time (as many as held-out images)",
    )
    option("--few", type=count, metavar="N", help=f"images to look for harm with (at most {FEW})")
    option("--few-seeds", type=given.seeds, default=10, metavar="N", help="choices of them (10)")
    option("--features", metavar="NAME", help="pixels, trained or inception, as for quality")
    option("--out", type=folder_named, required=True, metavar="DIR", help="folder to write")


def run(options: argparse.Namespace) -> None:
    """Run the study, write its report and print the summary."""
    require_folder(options.out)
    given.require_inputs(options)
    given.require_own_folder(options.out)
    from real.calibrated.conditions import ConditionedImages
    from real.commands import loading
    from real.experiments.repair_study import RepairStudyPlan, run_repair_study
    from real.experiments.repair_study_report import repair_study_report
    from real.quality.feature_choice import features_for
    from real.quality.measure import Reference
    from real.reports.origin import Origin
    from real.running import going_on, require_memory
    from real.solvers.by_name import solver_or_default

    device = loading.on_device(options.device)
    checkpoint = loading.load_checkpoint(loading.NetworkRequest.of(options), device)
    shape = checkpoint.image_shape
    images, held_out = loading.two_parts_to_compare(
        options.data, partial(loading.opened, loading.ImageRequest.of(options), shape=shape)
    )
    few = options.few or min(FEW, len(images))
    if few > len(images):
        raise InputError(
            f"few: expected {len(images)} at most, the images to calibrate on, got {few}"
        )
    samples = options.samples or len(held_out)
    require_memory("samples", samples, checkpoint.shape)
    features = features_for(options.features, images, shape, options.seed, device)
    plan = RepairStudyPlan(
        checkpoint=checkpoint,
        images=ConditionedImages.of(checkpoint, images, options.condition, device),
        held_out=ConditionedImages.of(checkpoint, held_out, options.condition, device),
        times=loading.spread_times(checkpoint.schedule, options.times), device=device,
        seeds=tuple(range(options.seed, options.seed + options.seeds)), nfe=options.nfe,
        samples=samples, solver=solver_or_default(options.solver, checkpoint.schedule),
        few=few, few_seeds=options.few_seeds,
    )  # fmt: skip
    reference = Reference.of(features, held_out, device)
    with going_on(options.out, checkpoint, vars(options)) as progress:
        with given.counting(plan.evaluations(), "repair-study", options.quiet) as on_progress:
            plan = replace(plan, on_progress=on_progress, progress=progress)
            found = run_repair_study(plan, reference)
        floor = reference.of_real(images.spread(samples), options.seed)["frechet"]
        report = repair_study_report(
            plan, found, features.distance, floor, Origin(options.as_typed)
        )
        keep(options.out, report.write)
    print("\n".join(report.lines))
    print(f"report: {options.out / 'repair-study.html'}")
