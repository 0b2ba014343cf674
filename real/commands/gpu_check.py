"""Does everything run on a GPU as on the CPU, and how fast?"""

import argparse
from functools import partial
from typing import Any

from real.commands import arguments as given
from theory.support.command_line import count, file_named
from theory.support.output import keep, require_file, write_json


def add(commands: Any) -> None:
    """Add the command and its options."""
    command = commands.add_parser(
        "gpu-check", parents=[given.ON_DEVICE],
        description="Compare a device with the CPU (predictions, calibrations, samples), measure half "
        "precision, compilation and CUDA graphs, what calibrations and samples cost over the bare "
        "network, and what happens when memory runs out.",
        epilog="example: python -m real gpu-check --out gpu.json",
    )  # fmt: skip
    option = command.add_argument
    option("--small", action="store_true", help="little of everything, to try the command")
    option(
        "--seconds", type=count, default=240, metavar="S", help="begin no part after so many (240)"
    )
    option(
        "--out", type=file_named(".json"), required=True, metavar="FILE", help="JSON file to write"
    )


def run(options: argparse.Namespace) -> int:
    """Check the device; status 1 where it differs from the CPU or a part failed."""
    require_file(options.out)
    from real.commands.loading import on_device
    from real.experiments.device_check import SMALL, WHOLE, device_check

    device = on_device(options.device)

    def say(found: dict[str, Any]) -> None:
        """Write what is known, and print the latest part."""
        write_json(options.out, found)
        name, part = list(found.items())[-1]
        print(f"{name}, {part['seconds']} s: {part.get('failed', 'done')}", flush=True)

    found = device_check(device, SMALL if options.small else WHOLE, float(options.seconds), say)
    keep(options.out, partial(write_json, value=found))
    rows = found["agreement"].get("found", [])
    differs = [row["network"] for row in rows if not row["within"]]
    failed = [name for name, part in found.items() if "failed" in part]
    print(options.out)
    for names, what in ((differs, "differ from the CPU"), (failed, "failed")):
        if names:
            print(f"{what}: {', '.join(names)}")
    return int(bool(differs or failed))
