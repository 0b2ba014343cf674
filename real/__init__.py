"""Real image networks: load, calibrate, validate, sample, report.

    from real import load, attach

The rooms, from the ground up; each imports only those before it: files, families, compress,
checkpoints, running, images, solvers, calibrated, quality, reports, experiments, commands.

Names are loaded when they are first asked for, so that the program answers at once.
"""

from importlib import import_module
from typing import Any

from theory import __version__

_HOME = {
    "Checkpoint": "real.families.checkpoint",
    "attach": "real.calibrated.drop_in",
    "calibrate_checkpoint": "real.calibrated.calibrate",
    "from_pretrained": "real.calibrated.drop_in",
    "load": "real.checkpoints.loading",
    "open_images": "real.images.opening",
    "restored": "real.compress.repaired_folder",
    "sample": "real.solvers.sampling",
    "save_pretrained": "real.calibrated.drop_in",
}
"""The module that each public name lives in."""

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
