"""What is done to a network's prediction, as functions of (x_t, t, y)."""

from collections.abc import Callable

from torch import Tensor

from theory.calibration.result import Calibration

Correct = Callable[[Tensor, Tensor, Tensor], Tensor]
"""correct(x_t, t, y) -> what to predict in place of y, for x_t and y (b, *shape), t (b,) or (1,)."""


def uncorrected(x_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
    """The prediction as it is."""
    return y


def correction_by(calibration: Calibration) -> Correct:
    """y less the correction of a calibration."""
    return lambda x_t, t, y: y - calibration.correction(x_t, t, y)
