"""A network with its calibration."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float64, Real
from torch import Tensor, nn

from theory.calibration.result import Calibration, as_calibration
from theory.forward.network import Predict
from theory.support.checks import kind_of
from theory.support.errors import InputError


class Calibrated(nn.Module):
    """A network with its calibration: called exactly as ``predict(x_t, t, condition=None)``.

    It is a module, so that the weights of a network that is one move and are saved with it.

    Args:
        predict: the network without calibration.
        calibration: what is subtracted from its predictions, or the file that holds it.

    Raises:
        InputError: a network that cannot be called, or no calibration; when called, images of
            another shape, or times that are no numbers or outside the schedule.
    """

    def __init__(self, predict: Predict, calibration: Calibration | Path | str) -> None:
        super().__init__()
        if not callable(predict):
            raise InputError(f"network: expected a function of (x_t, t), got {kind_of(predict)}")
        self.predict = predict
        self.calibration = as_calibration(calibration)

    def forward(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Any,
        condition: Any = None,
    ) -> Float[Tensor, "b *shape"]:
        """y_theta less the correction, at one time for all images or one for each.

        Args:
            x_t: noised images.
            t: a number, or a tensor, an array or a list of one or b numbers.
            condition: as the network takes it.
        """
        shape = self.calibration.shape
        if not isinstance(x_t, Tensor) or not x_t.dim() or tuple(x_t.shape[1:]) != shape:
            raise InputError(f"calibration: expected images of shape {shape}, got {kind_of(x_t)}")
        t = _times_of(t, x_t)
        y = self.predict(x_t, t) if condition is None else self.predict(x_t, t, condition)
        return y - self.calibration.correction(x_t, t.reshape(-1), y, condition)

    def certified_gain(self, t: Real[Tensor, "b"]) -> Float64[Tensor, "b"]:
        """Lower bound of what the calibration takes off the squared error at these times."""
        return self.calibration.certified_gain(t)

    @property
    def total_certificate(self) -> float:
        """Lower bound of what it takes off the likelihood bound, or what it was made for."""
        return self.calibration.total_certificate


def _times_of(t: Any, x_t: Tensor) -> Tensor:
    """One time, or one for each image; a plain number as one for each."""
    try:
        times = torch.as_tensor(t, device=None if isinstance(t, Tensor) else x_t.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"calibration: expected times as numbers, got {t!r:.60}") from error
    if times.dtype == torch.bool or times.is_complex():
        raise InputError(f"calibration: expected times as real numbers, got {kind_of(times)}")
    if tuple(times.shape) not in ((), (1,), (len(x_t),)):
        raise InputError(
            f"calibration: expected one time or one for each of {len(x_t)} images, "
            f"got {tuple(times.shape)}"
        )
    return times if isinstance(t, Tensor) else times.expand(len(x_t))
