"""Classifier-free guidance of two predictions, each of which may be calibrated under its own law."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from theory.forward.network import Predict
from theory.support.errors import InputError


@dataclass(frozen=True)
class Guided:
    """(1 + scale) times the conditional prediction minus scale times the unconditional one.

    Ho & Salimans (2022), "Classifier-free diffusion guidance", equation 6. The mean of a conditional
    prediction is known under the law of that condition, the mean of the unconditional one under
    the law of all images; the mean of the guided prediction is known under neither. Calibrate each
    branch, then guide.

    Attributes:
        conditional_predict, unconditional_predict: predict(x_t, t, condition) -> y. Where the two
            are one object, it is called once, on twice as many images.
        null_condition: the label or text that stands for no condition; None is refused.
        scale: strength of the guidance; 0 leaves the conditional prediction as it is.

    Raises:
        InputError: no null condition, or a scale that is not finite.
    """

    conditional_predict: Predict
    unconditional_predict: Predict
    null_condition: int | str | None
    scale: float

    def __post_init__(self) -> None:
        if not isinstance(self.null_condition, int | str):
            raise InputError(
                "guidance: expected a network with a null condition, a label or text that stands for none"
            )
        if not math.isfinite(self.scale):
            raise InputError(f"guidance: expected a finite scale, got {self.scale}")

    def __call__(self, x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        """The guided prediction (b, *shape) at x_t (b, *shape), t (b,) or ().

        Args:
            condition: integer labels (b,), or b texts.

        Raises:
            InputError: not one condition per image, or labels for texts.
        """
        null = self._null(condition, len(x_t))
        if self.conditional_predict is self.unconditional_predict:
            times = t.reshape(-1).expand(len(x_t))
            labels = isinstance(condition, Tensor)
            both = torch.cat([condition, null]) if labels else [*condition, *null]
            y = self.conditional_predict(torch.cat([x_t, x_t]), torch.cat([times, times]), both)
            conditional, unconditional = y.chunk(2)
        else:
            conditional = self.conditional_predict(x_t, t, condition)
            unconditional = self.unconditional_predict(x_t, t, null)
        return (1 + self.scale) * conditional - self.scale * unconditional

    def _null(self, condition: Any, count: int) -> Any:
        """Check the conditions; the null condition for each image."""
        labels = isinstance(self.null_condition, int)
        fits = isinstance(condition, Tensor if labels else list | tuple)
        if not fits or len(condition) != count:
            expected = "labels in a tensor" if labels else "texts in a list"
            kind = type(condition).__name__
            got = "none" if condition is None else f"{len(condition)} in a {kind}"
            raise InputError(f"guidance: expected {count} {expected} as conditions, got {got}")
        if isinstance(self.null_condition, int):
            return torch.full_like(condition, self.null_condition)
        return [self.null_condition] * count


def guided(
    conditional: Predict, unconditional: Predict, null_condition: int | str | None, scale: float
) -> Predict:
    """The conditional prediction under guidance; as it is where the scale is 0.

    Raises:
        InputError: as ``Guided``.
    """
    return Guided(conditional, unconditional, null_condition, scale) if scale else conditional
