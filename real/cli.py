"""The command line of ``python -m real``: options, progress, and nothing else."""

import argparse
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from theory.errors import InputError
from theory.program import Parser, count, replacing_file, require_file, require_folder, seed
from theory.shrinkage import POLICIES


def main(arguments: list[str]) -> int:
    """Run the subcommand."""
    options = _parser().parse_args(arguments)
    options.command(options)
    return 0


def _calibrate(options: argparse.Namespace) -> None:
    from real import calibrations
    from real.calibrating import calibrate_checkpoint, described
    from real.checkpoints import load
    from real.images import open_images
    from theory.budget import Goal

    require_file(options.out)
    device = _device(options.device)
    checkpoint = load(options.checkpoint, device)
    images = open_images(
        options.data, "calibration", checkpoint.shape,
        limit=options.images, batch_size=options.batch_size,
    )  # fmt: skip
    times = checkpoint.schedule.times(options.at or checkpoint.schedule.grid(options.times))
    goal = None
    if options.budget or options.precision:
        goal = Goal(options.budget, options.precision)
    most = options.budget or len(images) * len(times) * (2 if goal else options.draws)
    with _counting(most, "calibrate", options.quiet) as on_progress:
        calibration = calibrate_checkpoint(
            checkpoint, images, times, seed=options.seed, draws=options.draws, goal=goal,
            policy=POLICIES[options.policy], device=device, on_progress=on_progress,
        )  # fmt: skip
    calibrations.save(calibration, options.out)
    print(options.out)
    for line in described(calibration):
        print(line)


def _validate(options: argparse.Namespace) -> None:
    from real import calibrations, report
    from real.checkpoints import load
    from real.images import open_images
    from real.sampling import latents, sample
    from theory.calibration import Calibrated
    from theory.validation import validate

    require_folder(options.out)
    device = _device(options.device)
    calibration = calibrations.load(options.calibration)
    checkpoint = load(options.checkpoint, device)
    calibration.require(
        checkpoint.schedule, checkpoint.target, checkpoint.shape, checkpoint.fingerprint
    )
    images = open_images(
        options.data, "held-out", checkpoint.shape,
        limit=options.images, batch_size=options.batch_size,
    )  # fmt: skip
    evaluations = len(images) * len(calibration.times) * options.draws
    with _counting(evaluations, "validate", options.quiet) as on_progress:
        validation = validate(
            checkpoint.predict, calibration, images=images, seed=options.seed,
            draws=options.draws, device=device, on_progress=on_progress,
        )  # fmt: skip
    noise = latents(checkpoint, options.samples, options.seed).to(device)
    before, after = (
        sample(checkpoint, predict, noise, options.steps, _bar(name, options.quiet)).cpu()
        for predict, name in (
            (checkpoint.predict, "sample without"),
            (Calibrated(checkpoint.predict, calibration), "sample with"),
        )
    )
    numbers = report.numbers(
        checkpoint, validation,
        data=options.data, seed=options.seed, draws=options.draws, steps=options.steps,
    )  # fmt: skip
    shown = next(iter(replace(images, batch_size=options.samples)))
    report.write(options.out, numbers, before, after, shown)
    for line in report.summary(numbers):
        print(line)
    print(f"report: {options.out / 'report.html'}")


def _sample(options: argparse.Namespace) -> None:
    from real import calibrations
    from real.checkpoints import load
    from real.plots import grid
    from real.sampling import latents, sample
    from theory.calibration import Calibrated

    require_file(options.out)
    device = _device(options.device)
    calibration = calibrations.load(options.calibration) if options.calibration else None
    checkpoint = load(options.checkpoint, device)
    predict = checkpoint.predict
    if calibration:
        calibration.require(
            checkpoint.schedule, checkpoint.target, checkpoint.shape, checkpoint.fingerprint
        )
        predict = Calibrated(predict, calibration)
    noise = latents(checkpoint, options.samples, options.seed).to(device)
    images = sample(checkpoint, predict, noise, options.steps, _bar("sample", options.quiet))
    with replacing_file(options.out) as temporary:
        grid(images.cpu()).save(temporary, format="PNG")
    print(options.out)


def _train(options: argparse.Namespace) -> None:
    from real.training import Recipe, train_digits

    require_folder(options.out)
    record = train_digits(
        options.out, Recipe(seed=options.seed, steps=options.steps), options.quiet
    )
    print(f"{options.out}: {record['weights']:,} weights, {record['seconds']:.0f} s")


def _study(options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from real.checkpoints import load
    from real.images import open_images
    from real.plots import save_study
    from real.study import Plan, study
    from theory.program import replacing_folder, write_json

    require_folder(options.out)
    device = _device(options.device)
    checkpoint = load(options.checkpoint, device)
    images, held_out = (
        torch.cat(list(open_images(options.data, role, checkpoint.shape)))
        for role in ("calibration", "held-out")
    )
    if options.data != "digits":
        half = len(images) // 2
        images, held_out = images[:half], images[half:]
    times = checkpoint.schedule.grid(options.times)
    plan = Plan(checkpoint, images, held_out, times, options.seeds, 32, options.seed, device)
    with _counting(plan.evaluations(), "study", options.quiet) as on_progress:
        result = study(replace(plan, on_progress=on_progress))
    with replacing_folder(options.out) as folder:
        write_json(folder / "study.json", asdict(result))
        save_study(folder / "study.png", result.errors, result.gains)
    print(options.out / "study.png")


def _audit(options: argparse.Namespace) -> None:
    from real.audit import draw, read_statistics, summary
    from theory.noise_floor import audit

    if options.out:
        require_file(options.out)
    t, mean_sq, weighted, energy = read_statistics(options.statistics)
    result = audit(mean_sq, weighted, energy, options.images, options.dim)
    if options.out:
        draw(options.out, t, mean_sq, result)
    for line in summary(result):
        print(line)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device: expected auto, cpu or a usable device, got {name!r}") from error
    return device


@contextmanager
def _counting(total: int, name: str, quiet: bool) -> Iterator[Callable[[int], Any]]:
    with tqdm(total=total, desc=name, unit="eval", unit_scale=True, disable=quiet, delay=1) as bar:
        yield bar.update


def _bar(name: str, quiet: bool) -> Callable[[Iterable[Tensor]], Iterable[Tensor]]:
    return partial(tqdm, desc=name, disable=quiet, delay=1)


def _times(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text}")
    return value


def _parser() -> Parser:
    parser = Parser(
        prog="python -m real", description="Calibrate, validate and sample real image networks."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = Parser(add_help=False)
    common.add_argument("--seed", type=seed, default=0, help="seed of everything random (0)")
    common.add_argument("--quiet", action="store_true", help="no progress bar")
    on_device = Parser(add_help=False)
    on_device.add_argument("--device", default="auto", help="auto (CUDA if there), cpu, cuda:1 ...")
    network = Parser(add_help=False)
    network.add_argument(
        "checkpoint", nargs="?", default="digits", metavar="CHECKPOINT",
        help="digits (shipped, default), a local diffusers folder, or a Hub id",
    )  # fmt: skip
    pictures = Parser(add_help=False)
    pictures.add_argument("--steps", type=count, default=20, help="solver steps (20)")
    pictures.add_argument("--samples", type=count, default=64, help="number of samples (64)")
    data = Parser(add_help=False)
    data.add_argument(
        "--data", default="digits", metavar="DATA",
        help="digits (default), a folder of images, or an .npz file with an array 'images'",
    )  # fmt: skip
    data.add_argument("--images", type=count, metavar="N", help="use only the first N images")
    data.add_argument("--draws", type=count, default=1, help="noise draws per image and time (1)")
    data.add_argument("--batch-size", type=count, default=256, help="images per network call (256)")

    command = commands.add_parser(
        "calibrate", parents=[network, data, common, on_device],
        help="estimate the shift of a network at each time",
        description="Estimate the mean error of a network's prediction at each time, and save it.",
        epilog="example: python -m real calibrate digits --data digits --out digits.safetensors",
    )  # fmt: skip
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    command.add_argument(
        "--times", type=count, default=50, metavar="N",
        help="number of times, equally spaced in log-SNR (50)",
    )  # fmt: skip
    command.add_argument("--at", type=_times, metavar="T,T,...", help="these times instead")
    command.add_argument(
        "--policy", choices=list(POLICIES), default="certified",
        help="apply only what is certain to gain (default), all that gains in expectation, or all",
    )  # fmt: skip
    command.add_argument(
        "--budget", type=count, metavar="N",
        help="spend at most N network evaluations, where they lower the error of the bound most",
    )  # fmt: skip
    command.add_argument(
        "--precision", type=_fraction, metavar="P",
        help="stop when the error of the shifts is P of their energy (e.g. 0.05)",
    )  # fmt: skip
    command.set_defaults(command=_calibrate)

    command = commands.add_parser(
        "validate", parents=[network, data, pictures, common, on_device],
        help="prove a calibration on held-out images, and write a report",
        description="Measure a calibration on images that neither training nor calibration has "
        "seen, with paired noise, and write report.json, figures and report.html.",
        epilog="example: python -m real validate digits --calibration digits.safetensors "
        "--data digits --out report",
    )  # fmt: skip
    command.add_argument("--calibration", type=Path, required=True, metavar="FILE")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    command.set_defaults(command=_validate)

    command = commands.add_parser(
        "sample", parents=[network, pictures, common, on_device],
        help="draw samples, with or without a calibration",
        description="Draw DDIM samples as a grid; the same seed starts from the same noise.",
        epilog="example: python -m real sample digits --calibration digits.safetensors "
        "--steps 20 --out samples.png",
    )  # fmt: skip
    command.add_argument("--calibration", type=Path, metavar="FILE")
    command.add_argument("--out", type=Path, required=True, metavar="PNG", help="file to write")
    command.set_defaults(command=_sample)

    command = commands.add_parser(
        "study", parents=[network, common, on_device],
        help="compare the estimators: error against evaluations, gain against images",
        description="Compare the estimators on a checkpoint: error against a very large run, and "
        "held-out gain against the number of images, over seeds. Images other than the digits are "
        "halved: the first half to calibrate, the second held out.",
        epilog="example: python -m real study digits --out study",
    )  # fmt: skip
    command.add_argument("--data", default="digits", metavar="DATA", help="as for calibrate")
    command.add_argument(
        "--times", type=count, default=12, metavar="N", help="number of times (12)"
    )
    command.add_argument("--seeds", type=count, default=5, metavar="N", help="repetitions (5)")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    command.set_defaults(command=_study)

    command = commands.add_parser(
        "audit",
        help="how much of a published plain average is noise",
        description="Re-read published statistics of a plain average (array 'stats': t, |mean|^2, "
        "|mean|^2 (SNR_s/SNR_t - 1), E|y|^2) and say how much of the claimed gain is noise.",
        epilog="example: python -m real audit score_stats.npz --images 50000 --dim 3072 "
        "--out audit.png",
    )
    command.add_argument("statistics", type=Path, metavar="STATS", help=".npz file")
    command.add_argument("--images", type=count, required=True, metavar="N", help="draws averaged")
    command.add_argument("--dim", type=count, required=True, metavar="D", help="pixels of an image")
    command.add_argument("--out", type=Path, metavar="PNG", help="draw the noise floor here")
    command.set_defaults(command=_audit)

    command = commands.add_parser(
        "train", parents=[common],
        help="train the network that ships, on the CPU",
        description="Train the digits network on its training images, from a seed.",
        epilog="example: python -m real train digits --out build/digits",
    )  # fmt: skip
    command.add_argument("network", choices=["digits"], help="which network")
    command.add_argument("--steps", type=count, default=5000, help="optimizer steps (5000)")
    command.add_argument(
        "--out", type=Path, default=Path("build/digits"), metavar="DIR",
        help="folder to write (build/digits)",
    )  # fmt: skip
    command.set_defaults(command=_train)
    return parser
