"""How much of the bare network's throughput calibration, validation and calibrated sampling keep."""

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from real.commands import arguments as given
from real.commands.choices import NFE
from theory.support.command_line import count, file_named
from theory.support.output import keep, require_file, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from real.families.checkpoint import Checkpoint

BARE, CALIBRATE, VALIDATE = "bare", "calibrate", "validate"
SAMPLE, CALIBRATED = "sample", "sample, calibrated"

AGAINST = {CALIBRATE: BARE, VALIDATE: BARE, CALIBRATED: SAMPLE}
"""What each kind of work is held against."""


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "throughput",
        parents=[given.NETWORK, given.IMAGES, given.BATCHES, given.COMMON, given.ON_DEVICE, given.RUNNING,
                 given.SOLVER],
        description="Time whole calibrations and validations against the bare network calls in them, and "
        "calibrated samples against the network's own, in one process, taking turns.",
        epilog="example: python -m real throughput digits --batch-size auto --dtype bfloat16",
    )  # fmt: skip
    option = command.add_argument
    option("--times", type=count, default=10, metavar="N", help="times (10)")
    option("--order", type=int, choices=[0, 1], default=1, help="of calibration (1)")
    option("--turns", type=count, default=5, metavar="N", help="of each (5)")
    option("--nfe", type=count, default=NFE, metavar="N", help=f"evaluations per sample ({NFE})")
    option("--out", type=file_named(".json"), metavar="FILE", help="write the seconds as JSON")


def run(options: argparse.Namespace) -> None:
    """Time all kinds of work and print the ratios."""
    if options.out:
        require_file(options.out)
    given.require_inputs(options)
    from dataclasses import asdict

    from real.commands import loading
    from real.running import take_turns

    device = loading.on_device(options.device)
    checkpoint = loading.run_network(loading.NetworkRequest.of(options), device)
    batch_size = loading.settled_batch_size(options.batch_size, checkpoint, device)
    found = take_turns(
        _works(checkpoint, options, batch_size, device), options.turns, device
    )  # fmt: skip
    best = max(found[BARE].rate).item()
    print(f"{best:,.0f} bare network evaluations per second, batches of {batch_size}")
    ratios = {name: found[name].relative_to(found[other]) for name, other in AGAINST.items()}
    for name, ratio in ratios.items():
        print(
            f"{name} (order {options.order}): {ratio.value:.1%} of the throughput of {AGAINST[name]} "
            f"({ratio.lower:.1%} to {ratio.upper:.1%}, 95 %, {options.turns} turns)"
        )
    if options.out:
        values = {
            "device": str(device), "order": options.order, "batch_size": batch_size,
            "ratios": {name: asdict(ratio) for name, ratio in ratios.items()},
            "timings": {name: asdict(timing) for name, timing in found.items()},
        }  # fmt: skip
        keep(options.out, partial(write_json, value=values))
        print(options.out)


def _works(
    checkpoint: "Checkpoint", options: argparse.Namespace, batch_size: int, device: "torch.device"
) -> "dict[str, Callable[[], int]]":
    """What is timed; a calibration is made once before, for validation and samples."""
    from real.calibrated.calibrate import calibrate_checkpoint
    from real.calibrated.conditions import of_images, of_samples
    from real.commands.loading import ImageRequest, images_for, spread_times, two_parts
    from real.running import bare_calls
    from real.solvers.by_name import solver_or_default
    from real.solvers.sampling import latents, sample
    from theory.calibration import Calibrated, validate

    wanted = ImageRequest.of(options)
    images, others = two_parts(
        options.data,
        lambda role: images_for(checkpoint, wanted, role, device, batch_size),
    )
    times = spread_times(checkpoint.schedule, options.times)
    solver = solver_or_default(options.solver, checkpoint.schedule)
    make = partial(
        calibrate_checkpoint, checkpoint, images, times, seed=options.seed, device=device,
        conditions=of_images(checkpoint, images, "joint"), order=options.order,
    )  # fmt: skip
    calibration = make()
    noise = latents(checkpoint, batch_size, options.seed).to(device)

    def calibrating() -> int:
        """A whole calibration."""
        return int(make().provenance["evaluations"])

    def validating() -> int:
        """A whole validation."""
        found = validate(
            checkpoint.predict, calibration, images=others, seed=options.seed, device=device,
            conditions=of_images(checkpoint, others, "joint"),
        )  # fmt: skip
        return found.n * len(times)

    def sampling(predict: Any) -> int:
        """A batch of samples."""
        drawn = sample(
            checkpoint, predict, noise, solver=solver, nfe=options.nfe, seed=options.seed,
            condition=of_samples(checkpoint, len(noise), None), batch_size=batch_size,
        )  # fmt: skip
        return drawn.nfe * len(noise)

    return {
        BARE: lambda: bare_calls(checkpoint, len(images), times, batch_size, device),
        CALIBRATE: calibrating,
        VALIDATE: validating,
        SAMPLE: lambda: sampling(checkpoint.predict),
        CALIBRATED: lambda: sampling(Calibrated(checkpoint.predict, calibration)),
    }
