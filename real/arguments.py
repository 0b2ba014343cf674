"""The arguments of ``python -m real``: one function per command."""

import argparse
from pathlib import Path
from typing import Any

from theory.program import Parser, count, seed
from theory.shrinkage import POLICIES


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options of a command line, with the name of the command as ``command``.

    Raises:
        InputError: arguments that do not fit.
    """
    parser = Parser(
        prog="python -m real", description="Calibrate, validate and sample real image networks."
    )
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    for add in (_calibrate, _validate, _sample, _study, _audit, _train):
        add(commands)
    return parser.parse_args(arguments)


def _times(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text}")
    return value


COMMON = Parser(add_help=False)
COMMON.add_argument("--seed", type=seed, default=0, help="seed of everything random (0)")
COMMON.add_argument("--quiet", action="store_true", help="no progress bar")
ON_DEVICE = Parser(add_help=False)
ON_DEVICE.add_argument("--device", default="auto", help="auto (CUDA if there), cpu, cuda:1 ...")
NETWORK = Parser(add_help=False)
NETWORK.add_argument(
    "checkpoint", nargs="?", default="digits", metavar="CHECKPOINT",
    help="digits (shipped, default), a local diffusers folder, or a Hub id",
)  # fmt: skip
PICTURES = Parser(add_help=False)
PICTURES.add_argument("--steps", type=count, default=20, help="solver steps (20)")
PICTURES.add_argument("--samples", type=count, default=64, help="number of samples (64)")
DATA = Parser(add_help=False)
DATA.add_argument(
    "--data", default="digits", metavar="DATA",
    help="digits (default), a folder of images, or an .npz file with an array 'images'",
)  # fmt: skip
DATA.add_argument("--images", type=count, metavar="N", help="use only the first N images")
DATA.add_argument("--draws", type=count, default=1, help="noise draws per image and time (1)")
DATA.add_argument("--batch-size", type=count, default=256, help="images per network call (256)")


def _calibrate(commands: Any) -> None:
    command = commands.add_parser(
        "calibrate", parents=[NETWORK, DATA, COMMON, ON_DEVICE],
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


def _validate(commands: Any) -> None:
    command = commands.add_parser(
        "validate", parents=[NETWORK, DATA, PICTURES, COMMON, ON_DEVICE],
        help="prove a calibration on held-out images, and write a report",
        description="Measure a calibration on images that neither training nor calibration has "
        "seen, with paired noise, and write report.json, figures and report.html.",
        epilog="example: python -m real validate digits --calibration digits.safetensors "
        "--data digits --out report",
    )  # fmt: skip
    command.add_argument("--calibration", type=Path, required=True, metavar="FILE")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")


def _sample(commands: Any) -> None:
    command = commands.add_parser(
        "sample", parents=[NETWORK, PICTURES, COMMON, ON_DEVICE],
        help="draw samples, with or without a calibration",
        description="Draw DDIM samples as a grid; the same seed starts from the same noise.",
        epilog="example: python -m real sample digits --calibration digits.safetensors "
        "--steps 20 --out samples.png",
    )  # fmt: skip
    command.add_argument("--calibration", type=Path, metavar="FILE")
    command.add_argument("--out", type=Path, required=True, metavar="PNG", help="file to write")


def _study(commands: Any) -> None:
    command = commands.add_parser(
        "study", parents=[NETWORK, COMMON, ON_DEVICE],
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


def _audit(commands: Any) -> None:
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


def _train(commands: Any) -> None:
    command = commands.add_parser(
        "train", parents=[COMMON],
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
