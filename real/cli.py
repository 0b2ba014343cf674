"""The commands of ``python -m real``: checks, progress and printing around what other rooms do."""

import argparse
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from real.arguments import parse
from theory.errors import InputError
from theory.program import replacing_file, require_file, require_folder
from theory.shrinkage import POLICIES


def main(arguments: list[str]) -> int:
    """Run the subcommand."""
    options = parse(arguments)
    COMMANDS[options.command](options)
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


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "calibrate": _calibrate,
    "validate": _validate,
    "sample": _sample,
    "study": _study,
    "audit": _audit,
    "train": _train,
}
