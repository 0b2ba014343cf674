"""The schedules and models of a user that can be tried.

A schedule is a ``theory.Schedule``, or a class of them that needs no arguments. A model is one of

- a ``Model``: predict(x_t, t, condition=None) -> y beside the diffusion that it is a model of and
  the target that it predicts;
- a function score(x_t, t, diffusion) -> score, a formula for any diffusion of a mixture;
- a function score(x_t, t) -> score of the one ``Diffusion`` that its file holds.

Points x_t are (n, d) and times t (n,), both float64; the result must be float64 and (n, d).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.diffusion.targets import SCORE, Target, convert
from theory.support.errors import InputError, one_line_with_type
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import float64

Predict = Callable[..., Tensor]
"""From x_t and t, and for a formula the diffusion, to a prediction."""


@dataclass(frozen=True)
class Model:
    """A model, and the exact diffusion that it should be one of.

    Attributes:
        predict: predict(x_t, t, condition=None) -> y.
        diffusion: of a mixture of data under a schedule.
        target: what y stands for.
    """

    predict: Predict
    diffusion: Diffusion
    target: Target = SCORE

    def at(self, x_t: Float64[Tensor, "n d"], t: float) -> Float64[Tensor, "n d"]:
        """The prediction at points (n, d) and one time.

        Raises:
            InputError: it fails, or the result is not a float64 tensor of the same shape.
        """
        return self.rows(x_t, torch.full((len(x_t),), t, dtype=torch.float64))

    def exact(self, x_t: Float64[Tensor, "n d"], t: float) -> Float64[Tensor, "n d"]:
        """What the prediction at points (n, d) and one time should be."""
        return self.of_score(self.diffusion.score(x_t, t), x_t, t)

    def of_score(
        self, score: Float64[Tensor, "n d"], x_t: Float64[Tensor, "n d"], t: float
    ) -> Float64[Tensor, "n d"]:
        """A score as a prediction of the target."""
        return convert(score, x_t, float64(t), SCORE, self.target, self.diffusion.schedule)

    def rows(
        self, x_t: Float64[Tensor, "n d"], times: Float64[Tensor, "n"]
    ) -> Float64[Tensor, "n d"]:
        """The prediction at points (n, d), each at a time of its own.

        Raises:
            InputError: as ``at``.
        """
        try:
            y = self.predict(x_t.clone(), times.clone())
        except (Exception, SystemExit) as error:
            t = times[0].item()
            raise InputError(f"model: fails at t = {t:g}: {one_line_with_type(error)}") from error
        require_like(x_t, y, "model")
        return y.detach()


@dataclass(frozen=True)
class Formula:
    """A score for any diffusion: score(x_t, t, diffusion)."""

    score: Predict

    def model(self, diffusion: Diffusion) -> Model:
        """The model of one diffusion."""
        return Model(lambda x_t, t: self.score(x_t, t, diffusion), diffusion)


def require_like(expected: Tensor, value: Any, name: str) -> None:
    """Refuse anything but a float64 tensor of the shape of ``expected``.

    Raises:
        InputError: it is something else; the message begins with the name.
    """
    fits = isinstance(value, Tensor) and value.shape == expected.shape
    if not fits or value.dtype != torch.float64:
        shape = tuple(expected.shape)
        is_tensor = isinstance(value, Tensor)
        got = f"{tuple(value.shape)} {value.dtype}" if is_tensor else type(value).__name__
        raise InputError(f"{name}: expected a float64 tensor {shape}, got {got}")
