"""What every report ends with: what certificates assume, how to use it, and how to make it again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from real.families.checkpoint import Checkpoint
from real.files.hub_ids import is_hub_id
from real.reports.elements import Section, Table
from theory import __version__
from theory.calibration import Calibration
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


def use_section(checkpoint: Checkpoint, calibration: Calibration, file: Path | None) -> Section:
    """Lines to copy: on the command line, and in Python."""
    path = file or Path("calibration.safetensors")
    lines = [
        f"python -m real sample {checkpoint.reference} --calibration {path} --out samples.png",
        "",
    ]
    reference = checkpoint.reference
    if checkpoint.scheduler_config and (Path(reference).is_dir() or is_hub_id(reference)):
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
