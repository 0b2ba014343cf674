"""Arguments that several commands take, and the check of the names and files among them.

Imports nothing heavy: what is mistyped is said before any library is loaded.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from real.checkpoints.references import require_known
from real.commands import choices
from real.images.groups import split_reference
from real.images.references import HUB, TORCHVISION_SETS, require_images
from theory.support.command_line import Parser, count, file_named, seed
from theory.support.errors import InputError
from theory.support.output import require_file, require_other
from theory.support.torchrun import process_count, process_rank

AUTO = "auto"


def batch_size(text: str) -> int | str:
    """A positive whole number, or ``auto``."""
    if text != AUTO and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number or auto, got {text!r:.60}")
    return AUTO if text == AUTO else count(text)


def at_least(least: int, what: str) -> Callable[[str], int]:
    """What parses a number of so many things at least."""

    def parse(text: str) -> int:
        """The number; ArgumentTypeError for too small a one."""
        number = count(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"expected at least {least} {what}, got {number}")
        return number

    return parse


seeds = at_least(choices.LEAST_SEEDS, "repetitions")
"""Parses a number of repetitions: as many as an interval over them needs, at least."""

samples = at_least(choices.LEAST_SAMPLES, "samples")
"""Parses a number of samples whose distance is measured."""

starts = at_least(choices.LEAST_STARTS, "starts")
"""Parses a number of trajectories: as many as a fit or its judgement needs, at least."""


def count_list(text: str) -> tuple[int, ...]:
    """Comma-separated positive whole numbers, each once."""
    numbers = tuple(count(part) for part in text.split(","))
    if len(set(numbers)) < len(numbers):
        raise argparse.ArgumentTypeError(f"expected each number once, got {text!r:.60}")
    return numbers


def number_list(text: str) -> list[float]:
    """Comma-separated finite numbers, each once."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"expected numbers with commas between, got {text!r:.60}"
        ) from error
    if not all(map(math.isfinite, numbers)) or len(set(numbers)) < len(numbers):
        raise argparse.ArgumentTypeError(f"expected finite numbers, each once, got {text!r:.60}")
    return numbers


def low_and_high(text: str) -> list[float]:
    """Two finite numbers with a comma between, the lower one first."""
    numbers = number_list(text)
    if len(numbers) != 2 or not -math.inf < numbers[0] < numbers[1] < math.inf:
        raise argparse.ArgumentTypeError(f"expected LOW,HIGH with LOW below HIGH, got {text!r:.60}")
    return numbers


def fraction(text: str) -> float:
    """A number between 0 and 1, and neither of them."""
    value = finite(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0 and below 1, got {text!r:.60}")
    return value


def finite(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a finite number, got {text!r:.60}")
    return value


COMMON = Parser(add_help=False)
COMMON.add_argument("--seed", type=seed, default=0, help="seed of everything random (0)")
COMMON.add_argument("--quiet", action="store_true", help="no progress bar")
ON_DEVICE = Parser(add_help=False)
ON_DEVICE.add_argument("--device", default="auto", help="auto (CUDA if there), cpu, cuda:1 ...")
DESCRIBED = Parser(add_help=False)
DESCRIBED.add_argument(
    "--range", type=low_and_high, metavar="LOW,HIGH",
    help="range of the network's data, where it is not -1,1 (write --range=-0.5,0.5)",
)  # fmt: skip
DESCRIBED.add_argument("--family", metavar="NAME", help="family, where several know its content")
NETWORK = Parser(add_help=False, parents=[DESCRIBED])
NETWORK.add_argument(
    "checkpoint", nargs="?", default="digits", metavar="CHECKPOINT",
    help="digits (shipped, default), a name that `list` shows, a folder, a file, "
    "a Hub id, or your own network as FILE.py:NAME",
)  # fmt: skip
SOLVER = Parser(add_help=False)
SOLVER.add_argument(
    "--solver", metavar="NAME",
    help=f"{', '.join(choices.SOLVERS[:-1])} or {choices.SOLVERS[-1]}; {choices.ANALYTIC} in "
    "validate, with a calibration of order 1 (default: heun for EDM's schedule, flow-euler for flow "
    "matching, ddim for others)",
)  # fmt: skip
PICTURES = Parser(add_help=False, parents=[SOLVER])
PICTURES.add_argument(
    "--nfe", "--steps", type=count, metavar="N",
    help=f"network evaluations per sample, at most ({choices.NFE})",
)  # fmt: skip
PICTURES.add_argument("--samples", type=count, default=64, help="number of samples (64)")
GUIDANCE = Parser(add_help=False)
GUIDANCE.add_argument(
    "--guidance", type=finite, default=0.0, metavar="W",
    help="classifier-free guidance, (1 + W) conditional - W unconditional (0)",
)  # fmt: skip
BRANCHES = Parser(add_help=False, parents=[GUIDANCE])
BRANCHES.add_argument(
    "--unconditional", type=Path, metavar="FILE",
    help="calibration of the branch without condition (made with --condition null)",
)  # fmt: skip
OF_SAMPLES = Parser(add_help=False)
OF_SAMPLES.add_argument(
    "--condition", metavar="CLASS|TEXT", help="of every sample (default: all classes in turn)"
)
BATCHES = Parser(add_help=False)
BATCHES.add_argument(
    "--batch-size", type=batch_size, default=choices.BATCH_SIZE, metavar="N",
    help=f"images per network call ({choices.BATCH_SIZE}), or auto: the fastest here",
)  # fmt: skip
IMAGES = Parser(add_help=False)
IMAGES.add_argument(
    "--data", default="digits", metavar="DATA",
    help="digits (default), mnist, fashion-mnist, cifar10, celeba, hub:ID[:SPLIT], a folder of "
    "images, an .npz, .zip or .jsonl file, or a file that `encode` wrote; images of other sizes are "
    "cropped and resized",
)  # fmt: skip
IMAGES.add_argument(
    "--data-root", type=Path, metavar="DIR", help="where torchvision's sets lie (a cache folder)"
)
IMAGES.add_argument("--download", action="store_true", help="fetch a named set that is not there")
IMAGES.add_argument("--images", type=count, metavar="N", help="use only N images, evenly spaced")
IMAGES.add_argument(
    "--groups", metavar="FILE[:COLUMN]",
    help="what belongs together, such as a video or a patient: a line for each image, or a column of a "
    "CSV file; copies and mirror images are found without",
)  # fmt: skip
IMAGES.add_argument(
    "--skip-bad", action="store_true",
    help="leave out images that cannot be read, and name them (each is read once more for that)",
)  # fmt: skip
DATA = Parser(add_help=False, parents=[IMAGES, BATCHES])
DATA.add_argument("--draws", type=count, default=1, help="noise draws per image and time (1)")
RUNNING = Parser(add_help=False)
RUNNING.add_argument(
    "--dtype", choices=choices.DTYPES, default="float32",
    help="what the network computes in (float32)",
)  # fmt: skip
RUNNING.add_argument("--compile", action="store_true", help="compile the network (torch.compile)")
RUNNING.add_argument(
    "--channels-last", action="store_true",
    help="lay out images and weights with their channels last, which some processors like better",
)  # fmt: skip
CONDITION = Parser(add_help=False)
CONDITION.add_argument(
    "--condition", choices=choices.CONDITIONS, default="joint",
    help="each image under its own class or text (default), or all under the one for none",
)  # fmt: skip


def add_policy(command: Parser, *more: str) -> None:
    """Add the option that says how much of an estimate is applied; ``more`` are further names."""
    command.add_argument(
        "--policy", choices=(*choices.POLICIES, *more), default="certified",
        help="apply only what is certain to gain (default), all that gains in expectation, or all",
    )  # fmt: skip


def add_strict(command: Parser) -> None:
    """Add the option that makes a warning count as a failure."""
    command.add_argument(
        "--strict", action="store_true",
        help="exit status 1 if the network does not fit its description",
    )  # fmt: skip


def add_stored(command: Parser) -> None:
    """Add the option that names the file of tensors to write."""
    command.add_argument(
        "--out", type=file_named(".safetensors"), required=True, metavar="FILE",
        help="file to write",
    )  # fmt: skip


def add_report(command: Parser) -> None:
    """Add the option that asks for a page beside the result."""
    command.add_argument(
        "--report",
        type=file_named(".html"),
        metavar="HTML",
        help="write what was found as a page, too",
    )


def require_report(options: argparse.Namespace) -> None:
    """Require that the page, if one is asked for, can be written and is not the result itself.

    Raises:
        InputError: a folder that is not there, or the place of the result or of an input.
    """
    if options.report is None:
        return
    require_file(options.report)
    require_other(options.report, *_inputs(vars(options)))
    if options.out is not None and options.report.resolve() == options.out.resolve():
        raise InputError(f"report: expected another place than --out, got {options.report}")


def require_own_folder(path: Path) -> None:
    """Require that a folder for a report is new, empty or that of another report.

    Raises:
        InputError: it holds something else, such as the images of a user.
    """
    names = [child.name for child in path.iterdir()] if path.is_dir() else []
    held = sorted(name for name in names if not name.startswith("."))
    if held and not any(name.endswith(".html") for name in held):
        raise InputError(
            f"output: expected a new folder, or that of a report, {path} holds {held[0]:.60} and no page"
        )


INPUTS = ("calibration", "unconditional", "fitted", "data", "quality")
REFERENCES = ("checkpoint", "other", "groups")
"""Options that name a FILE, or FILE:NAME."""

OF_IMAGES = ("data", "images", "groups", "skip_bad", "download", "data_root")
"""What ``IMAGES`` asks for."""

FILES = {
    "calibration": "calibration",
    "unconditional": "calibration",
    "fitted": "fitted solver",
}
"""What the options that name a file hold."""


def require_inputs(options: argparse.Namespace, solvers: Sequence[str] = choices.SOLVERS) -> None:
    """Require that what the options name exists, as far as that is known without loading anything.

    Raises:
        InputError: a checkpoint that is not there; an unknown solver, number format or kind of
            features or family; a calibration that is no file; a reference to images that do not exist; or an
            output that is one of the inputs.
    """
    given = vars(options)
    if given.get("out") is not None:
        require_other(given["out"], *_inputs(given))
    for name in ("checkpoint", "other"):
        if given.get(name) is not None:
            require_known(given[name])
    if given.get("unconditional") and not given.get("guidance"):
        raise InputError("unconditional: expected --guidance, without which that branch is not run")
    for name, what in FILES.items():
        path = given.get(name)
        if path is not None:
            _require_file(what, path)
    if given.get("device") is not None:
        choices.require_one_of("device", given["device"].partition(":")[0], choices.DEVICES)
    if given.get("groups") is not None:
        _require_file("groups", Path(split_reference(given["groups"])[0]))
    _require_fetched(options)
    if given.get("quality") is not None and not given["quality"].is_dir():
        raise InputError(
            f"quality: expected the folder of a report, there is none at {given['quality']}"
        )
    if given.get("solver") == choices.ANALYTIC and choices.ANALYTIC not in solvers:
        raise InputError(f"solver: {choices.ANALYTIC} is for validate alone")
    choices.require_one_of("family", given.get("family"), choices.FAMILIES)
    known = {"solver": solvers, "quantize": choices.FORMATS, "features": choices.FEATURES}
    for name, names in known.items():
        choices.require_one_of(name, given.get(name), names)
    if given.get("data") is not None:
        require_images(given["data"])


def _require_fetched(options: argparse.Namespace) -> None:
    """Refuse what says how to fetch images that are not fetched."""
    data = vars(options).get("data")
    if data is None or data in TORCHVISION_SETS:
        return
    from_hub = data.startswith(HUB)
    sets = f"one of {', '.join(TORCHVISION_SETS)}"
    if not from_hub:
        refuse_unused(options, ["download"], f"{sets} or hub:ID as --data")
    refuse_unused(options, ["data_root"], f"{sets} as --data")


def _require_file(what: str, path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{what}: expected a file, {path} is a folder")
    if not path.is_file():
        raise InputError(f"{what}: expected a file, there is none at {path}")


def _inputs(given: dict[str, Any]) -> list[Path]:
    """The files and folders that options name, some of which may be names of other things."""
    named = [Path(given[name]) for name in INPUTS if given.get(name) is not None]
    references = [given[name] for name in REFERENCES if given.get(name) is not None]
    whole = [Path(reference) for reference in references]
    return [*named, *whole, *(Path(reference.rpartition(":")[0]) for reference in references)]


def refuse_unused(options: argparse.Namespace, names: Sequence[str], needed: str) -> None:
    """Refuse options that nothing would read.

    Args:
        options: the command line's.
        names: of options, as they are stored.
        needed: what they would need to be read.

    Raises:
        InputError: one of them is given.
    """
    for name in names:
        if name in options.typed:
            raise InputError(f"--{name.replace('_', '-')}: expected {needed}")


@contextmanager
def counting(total: int | None, name: str, quiet: bool) -> Iterator[Callable[[int], Any]]:
    """A progress bar over network evaluations, on a terminal alone; of an unknown number, a count.

    ``disable=None`` lets tqdm see whether it writes to a terminal. Of several processes the first shows
    it, as if all were as fast.
    """
    hidden, count = (quiet or process_rank() > 0) or None, process_count()
    with tqdm(total=total, desc=name, unit="eval", unit_scale=True, disable=hidden, delay=1) as bar:
        yield lambda evaluations: bar.update(count * evaluations)
