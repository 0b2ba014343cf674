"""What every report ends with: what certificates assume, how to use it, and how to make it again."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from real.families.checkpoint import Checkpoint
from real.files.hub_ids import is_hub_id
from real.reports.elements import Section, Table
from theory import __version__
from theory.calibration.result import EXACT

LONGEST = 100
"""Characters of a setting that are shown."""


@dataclass(frozen=True)
class Origin:
    """Of what a report was made.

    Attributes:
        command: the line that made it.
        calibration: the file that was used; None if none was.
    """

    command: str
    calibration: Path | None = None

    def section(self, fingerprint: str | None, settings: Mapping[str, Any]) -> Section:
        """The command, the settings and the network, if there is one, so that it can be made again."""
        network = {} if fingerprint is None else {"fingerprint of the network": fingerprint}
        said = {"version": __version__, **network, **settings}
        rows = [
            (name.replace("_", " "), "none" if value is None else f"{value!s:.{LONGEST}}")
            for name, value in said.items()
        ]
        table = Table(("setting", "value"), rows, "Settings and fingerprints")
        return Section("To make it again", tables=(table,), code=self.command)


def use_section(checkpoint: Checkpoint, file: Path | None) -> Section:
    """Lines to copy: on the command line, and in Python."""
    path = file or Path("calibration.safetensors")
    lines = [
        f"python -m real sample {checkpoint.reference} --calibration {path} --out samples.png",
        "",
    ]
    reference = checkpoint.reference
    if _is_pipeline(checkpoint):
        lines += [
            "from diffusers import DiffusionPipeline",
            "from real import attach",
            f'pipe = DiffusionPipeline.from_pretrained("{reference}")',
            f'attach(pipe, "{path}")  # until the handle\'s remove()',
        ]
    else:
        lines += [
            "from real import load",
            "from theory import Calibrated, Calibration",
            f'network = load("{reference}")',
            f'better = Calibrated(network.predict, Calibration.load("{path}"))  # called as predict is',
        ]
    return Section("To use it", code="\n".join(lines))


def fitted_section(
    checkpoint: Checkpoint,
    fitted: Path,
    asked: Mapping[str, Any],
    calibrations: Sequence[Path | None],
) -> Section:
    """Lines to copy for a fitted solver, with all that it was fitted with.

    Args:
        checkpoint: the network.
        fitted: where the solver lies.
        asked: options of ``sample``, without those that are empty.
        calibrations: of the network, and of its branch without condition.
    """
    both = zip(("calibration", "unconditional"), calibrations, strict=True)
    options = {"fitted": fitted, **dict(both), **asked, "out": "samples.png"}
    words = [word for name, value in options.items() if value for word in _option(name, value)]
    lines = [shlex.join(["python", "-m", "real", "sample", checkpoint.reference, *words])]
    joint, null = calibrations
    if _is_pipeline(checkpoint) and (joint or not null):
        given = ", ".join(f'"{path}"' for path in (joint, null) if path)
        lines += [
            "",
            "from diffusers import DiffusionPipeline",
            f"from real import {'attach, ' if joint else ''}fitted_scheduler",
            f'pipe = DiffusionPipeline.from_pretrained("{checkpoint.reference}")',
            *([f"attach(pipe, {given})"] if joint else []),
            f'pipe.scheduler = fitted_scheduler("{fitted}", pipe)',
        ]
    return Section("To use it", code="\n".join(lines))


def _option(name: str, value: Any) -> list[str]:
    """An option as words; what begins with a minus would be taken for another one."""
    text = str(value)
    return [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]


def _is_pipeline(checkpoint: Checkpoint) -> bool:
    """Whether diffusers loads it as a pipeline from where it was loaded."""
    reference = checkpoint.reference
    return bool(checkpoint.scheduler_config) and (Path(reference).is_dir() or is_hub_id(reference))


def assumptions(certainty: str) -> Section:
    """What the intervals and certificates of a report assume."""
    number = (
        "Certificates hold for every number of images; intervals are asymptotic in it."
        if certainty == EXACT
        else "Certificates and intervals are asymptotic in the number of images."
    )
    return Section(
        "What this assumes",
        (
            f"{number} Certificates hold together over the calibrated times, and come from the calibration "
            "images; between these times nothing is certified. All of it assumes that the network is what "
            "it is said to be (checked at every time; what speaks against it is said first), that images "
            "are independent (copies, mirror images and near copies count once, and so does what --groups "
            "holds together), and, unless a certificate is exact, that no rare image matters which the "
            "sample lacks.",
        ),
    )
