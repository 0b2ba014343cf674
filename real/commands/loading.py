"""Load what the arguments name: a device, a checkpoint, images, times."""

import argparse
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from real.calibrated.calibration_files import calibrated_by
from real.calibrated.fitted_solvers import load_fitted
from real.calibrated.guidance import guided
from real.checkpoints.loading import load
from real.commands.arguments import AUTO, counting
from real.commands.choices import LEAST_SAMPLES, NFE
from real.families.checkpoint import Checkpoint
from real.families.data_range import in_range
from real.images.base import ImageSource, Role
from real.images.groups import read_groups
from real.images.latents import latents_of, require_codec
from real.images.opening import open_images
from real.images.references import DIGITS, LATENTS
from real.running import best_batch_size, run_well, timed
from real.solvers.base import Solver
from real.solvers.by_name import solver_named, solver_or_default
from real.solvers.fitted import as_solver
from real.solvers.sampling import evaluations_per_sample, odd_evaluations
from theory.diffusion.schedules import DiscreteSchedule, Schedule
from theory.forward.images import DEFAULT_BATCH
from theory.forward.network import Predict
from theory.support.errors import InputError
from theory.support.torchrun import process_count, process_rank_here

EXPECTED_DEVICE = "auto, cpu or a usable device"


def on_device(name: str) -> torch.device:
    """The device of that name; ``auto`` is CUDA where there is one.

    Of several processes on a machine under torchrun each has a GPU of its own.

    Raises:
        InputError: the device cannot be used, or there are fewer GPUs than processes.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if process_count() > 1 and name.partition(":")[0] == "cuda":
        if ":" in name:
            raise InputError(
                f"device: expected cuda or cpu under torchrun, which numbers GPUs, got {name!r:.60}"
            )
        if process_rank_here() >= torch.cuda.device_count():
            raise InputError(
                f"device: expected at most one process per GPU, there are {torch.cuda.device_count()}"
            )
        name = f"cuda:{process_rank_here()}"
    try:
        with warnings.catch_warnings(action="ignore"):  # of names that are no devices any more
            device = torch.device(name)
        works = torch.ones(1, device=device).item() == 1
    except Exception as error:  # each kind of device that is not there fails in its own way
        raise InputError(f"device: expected {EXPECTED_DEVICE}, got {name!r:.60}") from error
    if not works or (device.type == "cpu" and device.index):
        raise InputError(f"device: expected {EXPECTED_DEVICE}, got {name!r:.60}")
    return device


@dataclass(frozen=True)
class NetworkRequest:
    """Which network, and how it is run, as ``NETWORK`` and ``RUNNING`` say.

    Attributes:
        reference: name, folder, file, Hub id or FILE.py:NAME.
        family: name of its family; None for the first that knows its content.
        data_range: (low, high) of its data; None for its own.
        dtype: what it computes in.
        compile: whether it is compiled.
        channels_last: whether its channels lie last in memory.
    """

    reference: str
    family: str | None = None
    data_range: tuple[float, float] | None = None
    dtype: str = "float32"
    compile: bool = False
    channels_last: bool = False

    @classmethod
    def of(cls, options: argparse.Namespace) -> "NetworkRequest":
        """What a command's options ask for."""
        given = vars(options)
        return cls(
            options.checkpoint, options.family, tuple(options.range) if options.range else None,
            given.get("dtype", cls.dtype), given.get("compile", cls.compile),
            given.get("channels_last", cls.channels_last),
        )  # fmt: skip


@dataclass(frozen=True)
class ImageRequest:
    """Which images, as ``IMAGES`` says.

    Attributes:
        reference: of the set, folder or file.
        limit: use only so many, evenly spaced.
        data_root: where torchvision's sets lie.
        download: fetch a named set that is not there.
        groups: FILE or FILE:COLUMN of what belongs together.
        quiet: no progress bar.
        skip_bad: leave out what cannot be read.
    """

    reference: str
    limit: int | None
    data_root: Path | None
    download: bool
    groups: str | None
    quiet: bool
    skip_bad: bool = False

    @classmethod
    def of(cls, options: argparse.Namespace) -> "ImageRequest":
        """What a command's options ask for."""
        return cls(
            options.data, options.images, options.data_root, options.download, options.groups,
            options.quiet, options.skip_bad,
        )  # fmt: skip


def load_checkpoint(wanted: NetworkRequest, device: torch.device) -> Checkpoint:
    """The checkpoint as it is, on data of the range that is said.

    Raises:
        InputError: the checkpoint cannot be loaded, or its range cannot be set.
    """
    checkpoint = load(wanted.reference, device, wanted.family)
    for note in checkpoint.notes:
        print(note)
    return in_range(checkpoint, *wanted.data_range) if wanted.data_range else checkpoint


def run_network(wanted: NetworkRequest, device: torch.device) -> Checkpoint:
    """The checkpoint, run in the dtype and as compiled as is asked for.

    Raises:
        InputError: it cannot be loaded, or not compiled here.
    """
    checkpoint = load_checkpoint(wanted, device)
    return run_well(
        checkpoint, device, dtype=wanted.dtype, compile=wanted.compile,
        channels_behind=wanted.channels_last,
    )  # fmt: skip


def prediction_for(
    checkpoint: Checkpoint, calibration: Path | None, unconditional: Path | None, guidance: float
) -> Predict:
    """The network's prediction, calibrated and guided as is said.

    Raises:
        InputError: a calibration of another network, or guidance of a network without null condition.
    """
    if guidance and calibration and not unconditional:
        print(
            "guidance: the branch without condition stays as it is; --unconditional calibrates it"
        )
    joint = calibrated_by(checkpoint, calibration, "joint")
    null = calibrated_by(checkpoint, unconditional, "null")
    return guided(joint, null, checkpoint.null_condition, guidance)


def solver_for(checkpoint: Checkpoint, options: argparse.Namespace) -> tuple[Solver, int]:
    """The solver that the options name, fitted or not, and its number of evaluations.

    Raises:
        InputError: a solver fitted to another network, or in another way, than it is to be used.
    """
    if options.fitted is None:
        name = solver_or_default(options.solver, checkpoint.schedule)
        return solver_named(name), options.nfe or NFE
    fitted = load_fitted(
        checkpoint, options.fitted, guidance=options.guidance,
        calibrations=(options.calibration, options.unconditional),
        condition=vars(options).get("condition"),
    )  # fmt: skip
    made = fitted.provenance
    for what, asked in (("solver", options.solver), ("nfe", options.nfe)):
        if asked not in (None, made[what]):
            raise InputError(f"fitted solver: expected {what} {made[what]}, as fitted, got {asked}")
    return as_solver(fitted), len(fitted.base)


def told_evaluations(checkpoint: Checkpoint, solver: str, asked: Sequence[int]) -> tuple[int, ...]:
    """How many network evaluations per sample a solver takes of those asked, in ascending order.

    A line is printed for each of which it takes fewer.

    Raises:
        InputError: more steps than the network has times.
    """
    used = {nfe: evaluations_per_sample(checkpoint, solver, nfe) for nfe in sorted(set(asked))}
    for nfe, taken in used.items():
        for line in odd_evaluations(solver, taken, nfe):
            print(line)
    return tuple(sorted(set(used.values())))


def settled_batch_size(asked: int | str, checkpoint: Checkpoint, device: torch.device) -> int:
    """The batch size that is asked for; for ``auto`` the best one, measured.

    Raises:
        InputError: ``auto`` for several processes, which must have one batch size.
    """
    if asked != AUTO:
        return int(asked)
    if process_count() > 1:
        raise InputError("batch-size: expected a number under torchrun, got auto")
    best = best_batch_size(timed(checkpoint, device))
    print(f"batch size {best}")
    return best


def opened(
    wanted: ImageRequest, role: Role, shape: tuple[int, ...], batch_size: int = DEFAULT_BATCH
) -> ImageSource:
    """The images, made to fit that shape.

    Raises:
        InputError: as ``open_images``.
    """
    source = open_images(
        wanted.reference, role, shape, limit=wanted.limit, batch_size=batch_size,
        data_root=wanted.data_root, download=wanted.download,
        groups=read_groups(wanted.groups) if wanted.groups else None, skip_bad=wanted.skip_bad,
    )  # fmt: skip
    for note in source.notes:
        print(note)
    return source


def images_for(
    checkpoint: Checkpoint,
    wanted: ImageRequest,
    role: Role,
    device: torch.device,
    batch_size: int = DEFAULT_BATCH,
) -> ImageSource:
    """The images as the network takes them: latents, where it works on them.

    Args:
        checkpoint: the network.
        wanted: which images.
        role: what they are for, where a set comes in parts.
        device: where they are encoded.
        batch_size: images per batch.

    Raises:
        InputError: as ``open_images``, or latents of another autoencoder.
    """
    if not checkpoint.codec:
        return opened(wanted, role, checkpoint.shape, batch_size)
    if wanted.reference.endswith(LATENTS):
        latents = opened(wanted, role, checkpoint.shape, batch_size)
        require_codec(Path(wanted.reference), checkpoint.codec)
        return latents
    images = opened(wanted, role, checkpoint.image_shape, batch_size)
    with counting(len(images), "encode", wanted.quiet) as on_progress:
        return latents_of(images, checkpoint.codec, device, on_progress)


def two_parts(
    data: str, open_part: Callable[[Role], ImageSource], role: Role = "calibration"
) -> tuple[ImageSource, ImageSource]:
    """Images to calibrate or train on, and others to compare with.

    The digits come in two such parts; of any other set, opened for ``role``, every second image
    is held out.
    """
    if data == DIGITS:
        return open_part("calibration"), open_part("held-out")
    whole = open_part(role)
    return whole.every_other(0), whole.every_other(1)


def two_parts_to_compare(
    data: str, open_part: Callable[[Role], ImageSource], role: Role = "calibration"
) -> tuple[ImageSource, ImageSource]:
    """The two parts of ``two_parts``, each of as many images as distances need.

    Raises:
        InputError: fewer.
    """
    known, others = two_parts(data, open_part, role)
    if min(len(known), len(others)) < LEAST_SAMPLES:
        raise InputError(
            f"images: expected at least {LEAST_SAMPLES} in each of two parts, to compare with, got "
            f"{len(known)} and {len(others)}"
        )
    return known, others


def spread_times(schedule: Schedule, n: int) -> Tensor:
    """At most n times of a schedule, spread evenly in log-SNR.

    Raises:
        InputError: more times than a table has.
    """
    if isinstance(schedule, DiscreteSchedule) and n > len(schedule.alphas_cumprod):
        raise InputError(f"times: the schedule has {len(schedule.alphas_cumprod)} of them, got {n}")
    return schedule.times(schedule.grid(n))
