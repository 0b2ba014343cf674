"""Compare the estimators on a checkpoint."""

import argparse
from dataclasses import replace
from functools import partial
from typing import Any

from real.commands import arguments as given
from theory.support.command_line import count, folder_named
from theory.support.output import keep, require_folder


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "study", parents=[given.NETWORK, given.COMMON, given.ON_DEVICE, given.CONDITION],
        description="Compare the estimators on a checkpoint: error against a very large run, and "
        "held-out gain against the number of images, over seeds. Images other than the digits are "
        "dealt into two: every other one to calibrate, the rest held out.",
        epilog="example: python -m real study digits --out study",
    )  # fmt: skip
    option = command.add_argument
    option("--data", default="digits", metavar="DATA", help="as for calibrate")
    option("--times", type=count, default=12, metavar="N", help="number of times (12)")
    option("--seeds", type=given.seeds, default=5, metavar="N", help="repetitions, at least 3 (5)")
    option("--out", type=folder_named, required=True, metavar="DIR", help="folder to write")


def run(options: argparse.Namespace) -> None:
    """Run the study and write its report."""
    require_folder(options.out)
    given.require_inputs(options)
    given.require_own_folder(options.out)
    from real.calibrated.conditions import ConditionedImages
    from real.commands.loading import (
        NetworkRequest,
        load_checkpoint,
        on_device,
        spread_times,
        two_parts,
    )
    from real.experiments.estimator_study import EstimatorStudyPlan, run_estimator_study
    from real.experiments.estimator_study_report import estimator_study_report
    from real.images.opening import open_images
    from real.reports.origin import Origin
    from real.running import going_on

    device = on_device(options.device)
    checkpoint = load_checkpoint(NetworkRequest.of(options), device)
    shape = checkpoint.image_shape
    images, held_out = (
        ConditionedImages.of(checkpoint, source, options.condition, device)
        for source in two_parts(options.data, partial(open_images, options.data, shape=shape))
    )
    plan = EstimatorStudyPlan(
        checkpoint=checkpoint, images=images, held_out=held_out,
        times=spread_times(checkpoint.schedule, options.times), device=device,
        seeds=options.seeds, seed=options.seed,
    )  # fmt: skip
    with going_on(options.out, checkpoint, vars(options)) as progress:
        with given.counting(plan.evaluations(), "study", options.quiet) as on_progress:
            found = run_estimator_study(replace(plan, on_progress=on_progress, progress=progress))
        report = estimator_study_report(plan, found, Origin(options.as_typed))
        keep(options.out, report.write)
    print("\n".join(report.lines))
    print(f"report: {options.out / 'study.html'}")
