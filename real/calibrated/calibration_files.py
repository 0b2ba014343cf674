"""The calibration file of a checkpoint."""

from pathlib import Path

from real.families.checkpoint import Checkpoint
from theory.calibration import Calibrated, Calibration
from theory.forward.network import Predict
from theory.support.errors import InputError


def load_for(checkpoint: Checkpoint, path: Path) -> Calibration:
    """Read a calibration, and require that it was made for this network.

    Raises:
        InputError: as ``Calibration.load``, or it was made for another network, range or autoencoder.
    """
    calibration = Calibration.load(path)
    calibration.require(
        checkpoint.schedule, checkpoint.target, checkpoint.shape, checkpoint.fingerprint
    )
    made = calibration.provenance.get("codec")
    own = checkpoint.codec.fingerprint if checkpoint.codec else None
    if made != own and ("codec" in calibration.provenance or (own or "").startswith("range")):
        raise InputError(f"calibration: made for another range or autoencoder: {made}, got {own}")
    return calibration


def calibrated_by(checkpoint: Checkpoint, path: Path | None) -> Predict:
    """The prediction of a checkpoint with the calibration of a file, or without where there is none.

    Raises:
        InputError: as ``load_for``.
    """
    if path is None:
        return checkpoint.predict
    return Calibrated(checkpoint.predict, load_for(checkpoint, path))
