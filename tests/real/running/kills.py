"""Kill a command with SIGKILL at random moments, go on, and compare the result with that of a whole run.

``python -m tests.real.running.kills --kills 50 --seed 0 calibrate digits ...`` (without ``--out``) kills
each of so many runs once, lets the same command go on, and says how many results are the same. The
runs are forks of a process in which the libraries are loaded, and keep their progress all the time.
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors import safe_open

from real.cli import main as real
from theory.calibration import kept

EVERY = 0.05
"""Seconds after which progress is kept."""

FORKS = multiprocessing.get_context("fork")
TIMED = ("seconds_before", "seconds_after")
"""What a report says of the machine and not of the network."""


def load_libraries() -> None:
    """Import what runs would import one after the other."""
    import diffusers

    from real.commands import calibrate, loading, validate  # noqa: F401

    for name in ("UNet2DModel", "DDPMScheduler", "DDPMPipeline"):
        getattr(diffusers, name)


def _run(arguments: Sequence[str], out: Path) -> None:
    kept.SECONDS, kept.SHARE_OF_TIME = EVERY, float("inf")
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    sys.exit(real([*arguments, "--quiet", "--out", str(out)]))


def run(arguments: Sequence[str], out: Path, killed_after: float | None = None) -> int | None:
    """Run to the end, or kill after so many seconds; the exit status."""
    process = FORKS.Process(target=_run, args=(arguments, out))
    process.start()
    process.join(killed_after)
    if process.is_alive() and process.pid is not None:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    return process.exitcode


def content(out: Path) -> object:
    """All that a file of tensors holds, or the report in a folder but for times of this machine."""
    if out.is_dir():
        (path,) = out.glob("*.json")
        report = json.loads(path.read_text())
        for name in TIMED:
            report.get("sampling", {}).pop(name, None)
        return report | {"command": ""}  # the same but for the output's name
    with safe_open(out, "pt") as file:
        tensors = {name: file.get_tensor(name).numpy().tobytes() for name in file.keys()}  # noqa: SIM118
        return tensors | file.metadata()


def kills(arguments: Sequence[str], count: int, seed: int, folder: Path) -> dict[str, int]:
    """How many of so many killed runs came to the result of a whole one, and how many were under way."""
    load_libraries()
    found = {"kills": 0, "under way": 0, "same results": 0}
    generator, begun = random.Random(seed), time.monotonic()
    if run(arguments, folder / "whole") != 0:
        raise SystemExit("the whole run fails")
    seconds = time.monotonic() - begun
    expected = content(folder / "whole")
    for k in range(count):
        out, begun = folder / f"{k}", time.monotonic()
        while run(arguments, out, generator.uniform(0, seconds)) != -signal.SIGKILL:
            seconds, begun = min(seconds, time.monotonic() - begun), time.monotonic()
            shutil.rmtree(out) if out.is_dir() else out.unlink()  # it was done before it was killed
        found["kills"] += 1
        of_passes = any(out.with_name(f".{out.name}.progress").glob("*.safetensors"))
        found["under way"] += of_passes or out.with_name(f".{out.name}.predictions").exists()
        found["same results"] += run(arguments, out) == 0 and content(out) == expected
        print(found, flush=True)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options, rest = parser.parse_known_args()
    with TemporaryDirectory() as place:
        counts = kills(rest, options.kills, options.seed, Path(place))
    sys.exit(counts["same results"] < options.kills)
