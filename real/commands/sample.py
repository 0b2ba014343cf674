"""Draw samples, with or without a calibration."""

import argparse
from pathlib import Path
from typing import Any

from real.commands.common import COMMON, NETWORK, ON_DEVICE, PICTURES, counting, on_device
from theory.program import replacing_file, require_file


def add(commands: Any) -> None:
    """Its arguments."""
    command = commands.add_parser(
        "sample", parents=[NETWORK, PICTURES, COMMON, ON_DEVICE],
        help="draw samples, with or without a calibration",
        description="Draw samples as a grid; the same seed starts from the same noise.",
        epilog="example: python -m real sample digits --calibration digits.safetensors "
        "--solver dpm-multi-2 --nfe 20 --out samples.png",
    )  # fmt: skip
    command.add_argument("--calibration", type=Path, metavar="FILE")
    command.add_argument("--out", type=Path, required=True, metavar="PNG", help="file to write")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from real import calibrations, solvers
    from real.checkpoints import load
    from real.plots import grid
    from real.sampling import evaluations, latents, sample
    from theory.calibration import Calibrated

    require_file(options.out)
    device = on_device(options.device)
    calibration = calibrations.load(options.calibration) if options.calibration else None
    checkpoint = load(options.checkpoint, device, options.family)
    predict = checkpoint.predict
    if calibration:
        calibration.require(
            checkpoint.schedule, checkpoint.target, checkpoint.shape, checkpoint.fingerprint
        )
        predict = Calibrated(predict, calibration)
    solver = solvers.chosen(options.solver, checkpoint.schedule)
    total = options.samples * evaluations(checkpoint, solver, options.nfe)
    noise = latents(checkpoint, options.samples, options.seed).to(device)
    with counting(total, "sample", options.quiet) as on_progress:
        samples = sample(
            checkpoint, predict, noise,
            solver=solver, nfe=options.nfe, seed=options.seed, on_progress=on_progress,
        )  # fmt: skip
    with replacing_file(options.out) as temporary:
        grid(samples.images).save(temporary, format="PNG")
    print(options.out)
    print(
        f"{solver}: {samples.nfe} network evaluations per sample, {len(samples.images)} samples "
        f"in {samples.seconds:.1f} s"
    )
