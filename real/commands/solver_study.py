"""Compare solvers, fitted and not, over numbers of evaluations."""

import argparse
from functools import partial
from typing import Any

from real.commands import arguments as given
from theory.support.command_line import count, folder_named
from theory.support.output import keep, require_folder

NFE = (4, 5, 6, 8, 10, 15, 20, 50)


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "solver-study",
        parents=[given.NETWORK, given.IMAGES, given.COMMON, given.ON_DEVICE, given.RUNNING],
        description="Distances of samples to real images against network evaluations: DDIM, DPM-Solver++ "
        "2M and 3M, UniPC, DEIS, Heun (odd numbers only), DDIM with searched epsilon scaling, and DDIM with "
        "what `fit-solver` fits, from the same starts. Images other than the digits are dealt into two: "
        "every other one is fitted to and trains the features, the rest are compared with.",
        epilog="example: python -m real solver-study digits --out build/solvers",
    )  # fmt: skip
    option = command.add_argument
    option(
        "--nfe", type=given.count_list, default=NFE, metavar="N,N,...",
        help="network evaluations per sample (4,5,6,8,10,15,20,50)",
    )  # fmt: skip
    option("--fit-up-to", type=count, default=20, metavar="N", help="fit for at most so many (20)")
    option("--seeds", type=given.seeds, default=3, help="repetitions, at least 3 (3)")
    option(
        "--samples", type=given.samples, metavar="N",
        help="samples each time (as many as real images)",
    )  # fmt: skip
    option("--features", metavar="NAME", help="as for quality")
    option("--out", type=folder_named, required=True, metavar="DIR", help="folder to write")


def run(options: argparse.Namespace) -> None:
    """Compare, write the report and print its summary."""
    require_folder(options.out)
    given.require_inputs(options)
    given.require_own_folder(options.out)
    from real.calibrated.conditions import of_images
    from real.commands.loading import (
        ImageRequest,
        NetworkRequest,
        on_device,
        opened,
        run_network,
        two_parts_to_compare,
    )
    from real.experiments.solver_study import SolverPlan, solver_study
    from real.images.latents import as_taken
    from real.quality.feature_choice import features_for
    from real.quality.measure import Reference
    from real.reports.origin import Origin
    from real.reports.solver_study import solver_report
    from real.running import require_memory, resumable

    device = on_device(options.device)
    checkpoint = run_network(NetworkRequest.of(options), device)
    shape = checkpoint.image_shape
    known, images = two_parts_to_compare(
        options.data, partial(opened, ImageRequest.of(options), shape=shape), "held-out"
    )
    samples = options.samples or len(images)
    require_memory("samples", samples, checkpoint.shape)
    in_turn = images.in_turn(samples)
    features = features_for(options.features, known, shape, options.seed, device)
    reference = Reference.of(features, images, device)
    fitted_to = as_taken(known, checkpoint.codec, device)
    with (
        resumable(checkpoint, options.out) as network,
        given.counting(None, "sample", options.quiet) as on_progress,
    ):
        plan = SolverPlan(
            network, fitted_to, options.nfe, options.fit_up_to,
            tuple(range(options.seed, options.seed + options.seeds)), samples,
            of_images(checkpoint, in_turn, "joint"), device, on_progress,
        )  # fmt: skip
        rows = list(solver_study(plan, reference))
        report = solver_report({
            "checkpoint": checkpoint.reference, "fingerprint": checkpoint.fingerprint,
            "distance": features.distance, "features": features.description, "images": len(images),
            "images_fitted_to": len(known), "samples": samples, "seeds": options.seeds,
            "data": options.data, "real_images": reference.of_real(known.spread(samples), options.seed),
            "rows": rows,
        }, Origin(options.as_typed))  # fmt: skip
        keep(options.out, report.write)
    print("\n".join(report.lines))
    print(f"report: {options.out / 'solver-study.html'}")
