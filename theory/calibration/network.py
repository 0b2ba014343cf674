"""A network with its calibration."""

from typing import Any

import torch
from jaxtyping import Float, Float64, Real
from torch import Tensor, nn

from theory.calibration.result import Calibration
from theory.forward.network import Predict
from theory.support.errors import InputError


class Calibrated(nn.Module):
    """A network with its calibration: called exactly as ``predict(x_t, t, condition=None)``.

    It is a module, so that the weights of a network that is one move and are saved with it.

    Args:
        predict: the network without calibration.
        calibration: what is subtracted from its predictions.

    Raises:
        InputError: when called with images of another shape, or times outside the schedule.
    """

    def __init__(self, predict: Predict, calibration: Calibration) -> None:
        super().__init__()
        self.predict = predict
        self.calibration = calibration

    def forward(
        self,
        x_t: Float[Tensor, "b *shape"],
        t: Real[Tensor, "*time"] | int | float,
        condition: Any = None,
    ) -> Float[Tensor, "b *shape"]:
        """y_theta less the correction, at one time for all images or one for each."""
        if tuple(x_t.shape[1:]) != self.calibration.shape:
            raise InputError(
                f"calibration: expected images of shape {self.calibration.shape}, "
                f"got {tuple(x_t.shape[1:])}"
            )
        if not isinstance(t, Tensor):
            t = torch.full((len(x_t),), t, device=x_t.device)
        if t.numel() not in (1, len(x_t)):
            raise InputError(
                f"calibration: expected one time or one for each of {len(x_t)} images, "
                f"got {tuple(t.shape)}"
            )
        y = self.predict(x_t, t) if condition is None else self.predict(x_t, t, condition)
        return y - self.calibration.correction(x_t, t.reshape(-1), y, condition)

    def certified_gain(self, t: Real[Tensor, "b"]) -> Float64[Tensor, "b"]:
        """Lower bound of what the calibration takes off the squared error at these times."""
        return self.calibration.certified_gain(t)

    @property
    def total_certificate(self) -> float:
        """Lower bound of what it takes off the likelihood bound, or what it was made for."""
        return self.calibration.total_certificate
