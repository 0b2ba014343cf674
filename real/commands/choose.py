"""Choose how to sample a network, by its samples."""

import argparse
from dataclasses import asdict
from functools import partial
from typing import Any

from real.commands import arguments as given
from theory.support.command_line import count
from theory.support.errors import InputError
from theory.support.output import keep, require_file

SAMPLES, LEAST_SAMPLES = 100, 16
LEAST_IMAGES = 64
"""Half of them are fitted to, a sixth chooses, a third decides in twelve parts."""


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "choose",
        parents=[
            given.NETWORK, given.IMAGES, given.BATCHES, given.SOLVER, given.COMMON, given.ON_DEVICE,
            given.RUNNING, given.GUIDANCE,
        ],
        description="Calibrate the network and fit solvers to it in several ways, and choose one by its "
        "samples: nothing, other solvers (unless --solver names one), order 0, order 1, order 1 at high "
        "noise, start, trajectory, marginals and sums of them. The worse half goes after each round; what "
        "is left is held against nothing with other noise and other images, and chosen only if it is "
        "certainly better. Half of the images are fitted to and train the features, a sixth chooses, "
        "a third decides. The file is for --fitted of `sample` and `quality`; where a calibration is "
        "chosen, a second one beside it is for --calibration, under --guidance a third for --unconditional.",
        epilog="example: python -m real choose digits --data digits --nfe 10 --out chosen.safetensors",
    )  # fmt: skip
    option = command.add_argument
    option("--nfe", "--steps", type=count, required=True, metavar="N", help="network evaluations")
    option(
        "--samples", type=count, default=SAMPLES, metavar="N",
        help=f"samples in each trial ({SAMPLES})",
    )  # fmt: skip
    option(
        "--features", metavar="NAME",
        help="trained (on the images; default), pixels or inception",
    )  # fmt: skip
    given.add_stored(command)
    given.add_report(command)


def run(options: argparse.Namespace) -> None:
    """Make the candidates, choose, save and say why."""
    require_file(options.out)
    given.require_report(options)
    given.require_inputs(options)
    if options.samples < LEAST_SAMPLES:
        raise InputError(f"samples: expected {LEAST_SAMPLES} at least, got {options.samples}")
    from real.calibrated.candidates import NOTHING, OTHER_SOLVERS, Candidates, meaning_of
    from real.calibrated.counted import counted
    from real.commands import loading
    from real.images.latents import as_taken
    from real.quality.choice import choose
    from real.quality.feature_choice import features_for
    from real.quality.measure import Reference, Sampler
    from real.quality.trials import Trials
    from real.reports.choice import choice_report
    from real.reports.origin import Origin
    from real.running import require_memory, resumable
    from real.solvers.by_name import solvers_to_fit

    device = loading.on_device(options.device)
    checkpoint = loading.run_network(loading.NetworkRequest.of(options), device)
    loading.prediction_for(checkpoint, None, None, options.guidance)  # or refuses to guide it
    batch_size = loading.settled_batch_size(options.batch_size, checkpoint, device)
    open_part = partial(
        loading.opened, loading.ImageRequest.of(options), shape=checkpoint.image_shape
    )
    known, others = loading.two_parts(options.data, open_part)
    if len(known) + len(others) < LEAST_IMAGES:
        raise InputError(
            f"data: expected {LEAST_IMAGES} images at least, got {len(known) + len(others)}"
        )
    require_memory("samples", options.samples, checkpoint.shape)
    features = features_for(
        options.features or "trained", known, checkpoint.image_shape, options.seed, device
    )
    fitted_to = as_taken(known, checkpoint.codec, device)
    solvers = solvers_to_fit(options.solver, checkpoint.schedule)
    loading.told_evaluations(checkpoint, solvers[0], (options.nfe,))
    choosing = range(0, len(others), 3)
    deciding = [i for i in range(len(others)) if i % 3]
    with (
        resumable(checkpoint, options.out) as network,
        given.counting(None, "choose", options.quiet) as on_progress,
    ):
        flow = {"batch_size": batch_size, "device": device, "on_progress": on_progress}
        plan = Candidates(
            network, fitted_to, solvers, options.nfe,
            () if options.solver else tuple(name for name in OTHER_SOLVERS if name != solvers[0]),
            options.guidance, options.seed, flow,
        )  # fmt: skip
        candidates = dict(plan.made())
        trials = Trials(
            network,
            {name: Sampler(*each.sampler(network)) for name, each in candidates.items()},
            {name: len(each.fitted.base) for name, each in candidates.items()},
            Reference.of(features, others.at(choosing), device),
            Reference.of(features, others.at(deciding), device),
            options.samples,
            None if checkpoint.conditions is None else others.in_turn(options.samples).labels,
            options.seed, batch_size, on_progress,
        )  # fmt: skip
        choice = choose(list(candidates), trials.to_choose, trials.to_decide)
        settings = {"features": features.description, "samples": options.samples}
        save = partial(
            candidates[choice.chosen].save, figures={"choice": asdict(choice) | settings},
            provenance={"condition": None, "dtype": options.dtype, "seed": options.seed},
        )  # fmt: skip
        files = keep(options.out, save)
    report = choice_report(
        choice, meaning_of, features.distance, width=trials.deciding.rows.shape[1],
        solver=f"{solvers[0]} at {counted(len(candidates[NOTHING].fitted.base), 'evaluation')}",
        settings=settings | {
            "data": options.data, "guidance": options.guidance, "seed": options.seed, "nfe": options.nfe,
            "solver": options.solver,
        },
        fingerprint=checkpoint.fingerprint, origin=Origin(options.as_typed),
    )  # fmt: skip
    print("\n".join(report.lines))
    for path in files:
        print(path)
    if options.report:
        keep(options.report, report.write_page)
        print(f"report: {options.report}")
