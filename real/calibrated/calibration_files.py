"""The calibration file of a checkpoint."""

from pathlib import Path

from real.families.checkpoint import Checkpoint
from theory.calibration.files import load
from theory.calibration.result import Calibrated, Calibration
from theory.forward.forward_pass import Predict


def load_for(checkpoint: Checkpoint, path: Path) -> Calibration:
    """Read a calibration of this very network.

    Raises:
        InputError: as ``load``, or it was made for another network.
    """
    calibration = load(path)
    calibration.require(
        checkpoint.schedule, checkpoint.target, checkpoint.shape, checkpoint.fingerprint
    )
    return calibration


def calibrated_by(checkpoint: Checkpoint, path: Path | None) -> Predict:
    """The prediction of a checkpoint, calibrated by a file; as it is without one.

    Raises:
        InputError: as ``load_for``.
    """
    return (
        checkpoint.predict
        if path is None
        else Calibrated(checkpoint.predict, load_for(checkpoint, path))
    )
