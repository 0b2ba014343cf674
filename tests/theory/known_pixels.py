"""A network that knows its data: pixels are -100 or 100, so a noised image gives itself away."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from theory.diffusion.schedules import Schedule, VPLinear
from theory.diffusion.targets import NOISE, Target
from theory.support.broadcasting import along_batch

SCALE = 100.0
SHAPE = (1, 3, 4)
SCHEDULE = VPLinear()
TIMES = [0.5, 0.125, 0.375]
"""Times, not in order, at which the noise is far too small to turn a pixel over."""

BIAS = torch.linspace(-0.3, 0.5, 12, dtype=torch.float64).reshape(SHAPE)


def images(n: int, first: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Images number ``first`` onwards (n, 1, 3, 4): the number's bits, all different."""
    numbers = torch.arange(first, first + n)
    bits = (numbers[:, None] >> torch.arange(12)) & 1
    return (SCALE * (2 * bits - 1)).to(dtype).reshape(n, *SHAPE)


def constant_bias(t: Tensor, x_0: Tensor) -> Tensor:
    """The same bias for every image at every time."""
    return BIAS.expand_as(x_0)


@dataclass(frozen=True)
class KnownPixels:
    """Predicts the exact target plus ``bias(t, x_0)``. Called as predict(x_t, t, condition=None)."""

    bias: Callable[[Tensor, Tensor], Tensor] = constant_bias
    target: Target = NOISE
    schedule: Schedule = SCHEDULE

    def __call__(self, x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        x_0 = SCALE * torch.sign(x_t)
        alpha_t, sigma_t = (
            along_batch(f(t), x_t) for f in (self.schedule.alpha, self.schedule.sigma)
        )
        e = (x_t - alpha_t * x_0) / sigma_t
        return self.target.value(self.schedule, t, x_0, e) + self.bias(t, x_0)


def imperfect(x_t: Tensor, t: Tensor) -> Tensor:
    """A network that knows nothing, and errs differently on every draw."""
    return torch.tanh(x_t) * along_batch(1 + t, x_t)
