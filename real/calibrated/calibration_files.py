"""A calibration file that belongs to a checkpoint."""

from pathlib import Path

from real.families.checkpoint import Checkpoint
from theory.calibration.result import Calibration


def load_for(checkpoint: Checkpoint, path: Path) -> Calibration:
    """Read a calibration of this very network.

    Raises:
        InputError: as ``Calibration.load``, or it was made for another network.
    """
    calibration = Calibration.load(path)
    calibration.require(
        checkpoint.schedule, checkpoint.target, checkpoint.shape, checkpoint.fingerprint
    )
    return calibration
