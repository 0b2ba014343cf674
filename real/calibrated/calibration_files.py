"""The calibration file of a checkpoint."""

from pathlib import Path

from real.calibrated.conditions import ConditionKind
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


def calibrated_by(checkpoint: Checkpoint, path: Path | None, branch: ConditionKind) -> Predict:
    """The prediction of a checkpoint with the calibration of a file, or without where there is none.

    Args:
        checkpoint: the network.
        path: of the file.
        branch: the prediction that is meant, under images' own conditions or under the null one.

    Raises:
        InputError: as ``load_for``, or the calibration was made for the other branch.
    """
    if path is None:
        return checkpoint.predict
    calibration = load_for(checkpoint, path)
    require_branch(calibration, branch)
    return Calibrated(checkpoint.predict, calibration)


def require_branch(calibration: Calibration, branch: ConditionKind) -> None:
    """Raises: InputError, the calibration was made for the other branch of a guided prediction."""
    made = calibration.provenance.get("condition", branch)
    if made != branch:
        raise InputError(
            f"calibration: expected one made with --condition {branch} for this branch, got one made "
            f"with --condition {made}; are the two branches' files exchanged?"
        )
