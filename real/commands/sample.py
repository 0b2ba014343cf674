"""Draw samples, with or without a calibration."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from real.commands import arguments as given
from theory.support.command_line import file_named
from theory.support.output import keep, require_file


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "sample",
        parents=[
            given.NETWORK, given.PICTURES, given.COMMON, given.ON_DEVICE, given.RUNNING, given.BATCHES,
            given.OF_SAMPLES, given.BRANCHES,
        ],
        description="Draw samples as a grid; the same seed starts from the same noise.",
        epilog="example: python -m real sample digits --calibration digits.safetensors "
        "--solver dpm-multi-2 --nfe 20 --out samples.png",
    )  # fmt: skip
    option = command.add_argument
    option("--calibration", type=Path, metavar="FILE")
    option("--fitted", type=Path, metavar="FILE", help="solver that `fit-solver` wrote")
    option("--out", type=file_named(".png"), required=True, metavar="PNG", help="file to write")


def run(options: argparse.Namespace) -> None:
    """Sample, write the grid and say what it took."""
    require_file(options.out)
    given.require_inputs(options)
    from real.calibrated.conditions import of_samples
    from real.calibrated.counted import counted
    from real.commands.loading import (
        NetworkRequest,
        on_device,
        prediction_for,
        run_network,
        settled_batch_size,
        solver_for,
    )
    from real.reports.image_grid import save_grid
    from real.running import require_memory
    from real.solvers.sampling import evaluations_per_sample, latents, odd_evaluations, sample

    device = on_device(options.device)
    checkpoint = run_network(NetworkRequest.of(options), device)
    batch_size = settled_batch_size(options.batch_size, checkpoint, device)
    require_memory("samples", options.samples, checkpoint.shape)
    condition = of_samples(checkpoint, options.samples, options.condition)
    predict = prediction_for(
        checkpoint, options.calibration, options.unconditional, options.guidance
    )
    solver, nfe = solver_for(checkpoint, options)
    total = options.samples * evaluations_per_sample(checkpoint, solver, nfe)
    noise = latents(checkpoint, options.samples, options.seed).to(device)
    with given.counting(total, "sample", options.quiet) as on_progress:
        samples = sample(
            checkpoint, predict, noise, solver=solver, nfe=nfe, seed=options.seed,
            condition=condition, batch_size=batch_size, on_progress=on_progress,
        )  # fmt: skip
    keep(options.out, partial(save_grid, samples.images))
    print(options.out)
    print(
        f"{samples.solver}: {counted(samples.nfe, 'network evaluation')} per sample, "
        f"{counted(len(samples.images), 'sample')} in {samples.seconds:.1f} s"
    )
    for line in odd_evaluations(samples.solver, samples.nfe, nfe):
        print(line)
