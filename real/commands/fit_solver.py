"""Fit a solver to a network, for few evaluations."""

import argparse
from pathlib import Path
from typing import Any

from real.commands import arguments as given
from real.commands.choices import PARTS
from theory.support.command_line import count
from theory.support.output import keep, require_file


def parts(text: str) -> tuple[str, ...]:
    """Comma-separated parts."""
    found = tuple(text.split(","))
    for part in found:
        if part not in PARTS:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(PARTS)}, got {part!r}")
    return found


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "fit-solver",
        parents=[
            given.NETWORK, given.IMAGES, given.BATCHES, given.SOLVER, given.COMMON, given.ON_DEVICE,
            given.RUNNING, given.OF_SAMPLES, given.BRANCHES,
        ],
        description="Fit a solver of few evaluations to the network: its steps to the network's own fine "
        "solution, its moments on the way to those that images have under the same noise, and its "
        "start to the images at the first time. Without --solver, the usual solver and one at times equally "
        "spaced in log-SNR are tried. No gradients; minutes. The file is for `sample`, "
        "`quality` and `real.fitted_scheduler`.",
        epilog="example: python -m real fit-solver digits --data digits --solver ddim --nfe 5 --out "
        "fitted.safetensors",
    )  # fmt: skip
    option = command.add_argument
    option("--nfe", "--steps", type=count, required=True, metavar="N", help="network evaluations")
    option(
        "--parts", type=parts, default=PARTS, metavar="PART,...",
        help="start, trajectory, marginals (default: all); the trajectory alone needs no images",
    )  # fmt: skip
    option(
        "--starts", type=given.starts, default=128, metavar="N", help="trajectories to fit to (128)"
    )
    option(
        "--fresh",
        type=given.starts,
        default=64,
        metavar="N",
        help="others, to measure the gain on (64)",
    )
    option("--calibration", type=Path, metavar="FILE", help="of the network, as it will be used")
    given.add_stored(command)
    given.add_report(command)


def run(options: argparse.Namespace) -> None:
    """Fit, save, and say what was gained."""
    require_file(options.out)
    given.require_report(options)
    given.require_inputs(options)
    if set(options.parts) == {"trajectory"}:
        given.refuse_unused(
            options, given.OF_IMAGES, "another part than trajectory, which needs no images"
        )
    from real.calibrated.conditions import of_samples
    from real.calibrated.fitted_solvers import (
        digest_of,
        doubts_of,
        fit_checkpoint_solver,
    )
    from real.commands.loading import (
        ImageRequest,
        NetworkRequest,
        images_for,
        on_device,
        prediction_for,
        run_network,
        settled_batch_size,
    )
    from real.reports.fitted import fitted_report
    from real.reports.origin import Origin, fitted_section
    from real.running import resumable
    from real.solvers.by_name import solvers_to_fit

    device = on_device(options.device)
    checkpoint = run_network(NetworkRequest.of(options), device)
    batch_size = settled_batch_size(options.batch_size, checkpoint, device)
    solvers = solvers_to_fit(options.solver, checkpoint.schedule)
    images, conditions = None, of_samples(checkpoint, options.starts, options.condition)
    if set(options.parts) != {"trajectory"}:
        images = images_for(checkpoint, ImageRequest.of(options), "calibration", device, batch_size)
        if options.condition is None and checkpoint.conditions is not None:
            conditions = images.labels if images.labels is not None else conditions
    calibrations = options.calibration, options.unconditional
    with (
        resumable(checkpoint, options.out) as network,
        given.counting(None, "fit-solver", options.quiet) as on_progress,
    ):
        fitted = fit_checkpoint_solver(
            network, prediction_for(network, *calibrations, options.guidance), solvers, options.nfe,
            images=images, conditions=conditions, parts=options.parts, starts=options.starts,
            fresh=options.fresh, seed=options.seed,
            flow={"batch_size": batch_size, "device": device, "on_progress": on_progress},
            provenance={
                "guidance": options.guidance, "calibrations": [digest_of(c) for c in calibrations],
                "condition": options.condition, "dtype": options.dtype, "seed": options.seed,
            },
        )  # fmt: skip
        keep(options.out, fitted.save)
    doubts = doubts_of(checkpoint, fitted, images)
    used = fitted_section(checkpoint, options.out, _asked(options), calibrations)
    report = fitted_report(fitted, doubts, used, options.nfe, Origin(options.as_typed))
    print("\n".join(report.lines))
    print(options.out)
    if options.report:
        keep(options.report, report.write_page)
        print(f"report: {options.report}")


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    """What else ``sample`` must be asked for to run the network as the solver was fitted to it."""
    asked = {name: getattr(options, name) for name in ("guidance", "condition", "family")}
    if options.range:
        asked["range"] = "{:g},{:g}".format(*options.range)
    if options.dtype != "float32":
        asked["dtype"] = options.dtype
    return asked
