"""The calibration file of a checkpoint."""

from pathlib import Path

from real.families.checkpoint import Checkpoint
from theory.calibration import Calibrated, Calibration
from theory.forward.network import Predict


def load_for(checkpoint: Checkpoint, path: Path) -> Calibration:
    """Read a calibration, and require that it was made for this network.

    Raises:
        InputError: as ``Calibration.load``, or it was made for another network.
    """
    calibration = Calibration.load(path)
    calibration.require(
        checkpoint.schedule, checkpoint.target, checkpoint.shape, checkpoint.fingerprint
    )
    return calibration


def calibrated_by(checkpoint: Checkpoint, path: Path | None) -> Predict:
    """The prediction of a checkpoint with the calibration of a file, or without where there is none.

    Raises:
        InputError: as ``load_for``.
    """
    if path is None:
        return checkpoint.predict
    return Calibrated(checkpoint.predict, load_for(checkpoint, path))
