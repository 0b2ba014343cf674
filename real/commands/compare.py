"""Say which of two networks of one target is better, and where."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from real.commands import arguments as given
from theory.support.command_line import count, folder_named
from theory.support.output import keep, require_folder

DEFAULT_TIMES = 20


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "compare",
        parents=[given.DESCRIBED, given.DATA, given.SOLVER, given.COMMON, given.ON_DEVICE, given.RUNNING,
                 given.CONDITION],
        description="Hold two networks of the same target, schedule and shape against each other, such as "
        "one in full precision and quantized, or after two epochs: their denoising losses and likelihood "
        "bounds on the same images and the same noise and, if asked, the distances to real images of "
        "samples from the same starts. Says first which is better; writes compare.json and a figure.",
        epilog="example: python -m real compare digits digits-int4 --data digits --out compared",
    )  # fmt: skip
    option = command.add_argument
    option("checkpoint", metavar="A", help="a network, as the other commands take it")
    option("other", metavar="B", help="the network that is held against it")
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--times", type=count, default=DEFAULT_TIMES, metavar="N",
        help=f"number of times, equally spaced in log-SNR ({DEFAULT_TIMES})",
    )  # fmt: skip
    where.add_argument(
        "--at", type=given.number_list, metavar="T,T,...", help="these times instead"
    )
    option(
        "--samples", type=given.samples, metavar="N",
        help="draw so many from each network and seed, too (default: none)",
    )  # fmt: skip
    option(
        "--seeds", type=given.seeds, default=3, help="repetitions of the samples, at least 3 (3)"
    )
    option(
        "--nfe", type=count, default=20, metavar="N",
        help="network evaluations per sample, at most (20)",
    )  # fmt: skip
    option(
        "--features", metavar="NAME",
        help="what samples are compared by: pixels, trained (on every other image) or inception "
        "(default: pixels for tiny images, else trained)",
    )  # fmt: skip
    option("--out", type=folder_named, required=True, metavar="DIR", help="folder to write")


def run(options: argparse.Namespace) -> None:
    """Compare, write the report and print its summary, the verdict first."""
    require_folder(options.out)
    given.require_inputs(options)
    given.require_own_folder(options.out)
    if not options.samples:
        of_samples = ("nfe", "seeds", "solver", "features")
        given.refuse_unused(
            options, of_samples, "--samples beside it, without which none are drawn"
        )
    from real.calibrated.comparison import require_comparable
    from real.calibrated.conditions import of_images
    from real.commands import loading
    from real.reports.comparison import comparison_report
    from real.reports.origin import Origin
    from real.running import require_memory
    from theory.calibration import compare

    device = loading.on_device(options.device)
    wanted = loading.NetworkRequest.of(options)
    first, second = networks = (
        loading.run_network(wanted, device),
        loading.run_network(replace(wanted, reference=options.other), device),
    )
    times = (
        first.schedule.times(options.at)
        if options.at
        else loading.spread_times(first.schedule, options.times)
    )
    require_comparable(first, second, times, options.condition)
    batch_size = loading.settled_batch_size(options.batch_size, first, device)
    request = loading.ImageRequest.of(options)
    images = loading.images_for(first, request, "held-out", device, batch_size)
    require_memory("draws", options.draws * min(batch_size, len(images)), first.shape)
    measure_samples = _sampling(options, networks, batch_size, device) if options.samples else None
    total = 2 * len(images) * len(times) * options.draws
    with given.counting(total, "compare", options.quiet) as on_progress:
        found = compare(
            first.network, second.network, images=images, times=times, seed=options.seed,
            conditions=of_images(first, images, options.condition), draws=options.draws,
            device=device, on_progress=on_progress,
        )  # fmt: skip
    report = comparison_report(
        networks, found, measure_samples() if measure_samples else None, origin=Origin(options.as_typed),
        data=options.data, seed=options.seed, draws=options.draws, dtype=options.dtype,
        times=", ".join(f"{t:g}" for t in times.tolist()),
    )  # fmt: skip
    keep(options.out, report.write)
    print("\n".join(report.lines))
    print(f"report: {options.out / 'compare.html'}")


def _sampling(
    options: argparse.Namespace, networks: tuple[Any, Any], batch_size: int, device: Any
) -> Callable[[], dict[str, Any]]:
    """What draws the samples of both networks and measures their distances; all is checked before.

    Images other than the digits are dealt into two, as ``quality`` does.
    """
    from real.calibrated.conditions import of_images
    from real.commands.loading import (
        ImageRequest,
        opened,
        told_evaluations,
        two_parts_to_compare,
    )
    from real.quality.feature_choice import features_for
    from real.quality.measure import QualityPlan, Reference, Sampler, measure_quality
    from real.reports.comparison import NAMES
    from real.reports.quality import distances
    from real.running import require_memory
    from real.solvers.by_name import solver_or_default

    first, samples = networks[0], options.samples
    solver = solver_or_default(options.solver, first.schedule)
    open_part = partial(opened, ImageRequest.of(options), shape=first.image_shape)
    known, images = two_parts_to_compare(options.data, open_part, "held-out")
    require_memory("samples", samples, first.shape)
    in_turn = images.in_turn(samples)
    plan = QualityPlan(
        first,
        {name: Sampler(own.predict, solver) for name, own in zip(NAMES, networks, strict=True)},
        told_evaluations(first, solver, (options.nfe,)),
        tuple(range(options.seed, options.seed + options.seeds)), samples, batch_size, device,
        of_images(first, in_turn, options.condition),
    )  # fmt: skip

    def measure() -> dict[str, Any]:
        """Sample from both, and compare with the images."""
        features = features_for(options.features, known, first.image_shape, options.seed, device)
        reference = Reference.of(features, images, device)
        with given.counting(plan.evaluations, "sample", options.quiet) as on_progress:
            rows = list(measure_quality(replace(plan, on_progress=on_progress), reference))
        floor = reference.of_real(known.spread(samples), options.seed)
        return distances(plan, reference, rows) | {"real_images": floor}

    return measure
