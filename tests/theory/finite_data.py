"""Data that are one of a few images, whose exact denoiser is a sum over them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from theory.diffusion.schedules import Schedule, VPLinear
from theory.diffusion.targets import NOISE, Target
from theory.support.broadcasting import along_batch

SHAPE = (1, 2, 3)
POINTS = 0.6 * (2 * torch.rand(8, *SHAPE, generator=torch.Generator().manual_seed(3)).double() - 1)
"""The images that there are, all equally likely, within [-0.6, 0.6]."""

SCHEDULE = VPLinear()
TIMES = [0.2, 0.4, 0.6]


def drawn(n: int, seed: int = 0) -> Tensor:
    """Independent images (n, *SHAPE), told apart by a tiny difference of each."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(POINTS), (n,), generator=generator)
    return POINTS[chosen] + 1e-4 * torch.rand(n, *SHAPE, generator=generator, dtype=torch.float64)


@dataclass(frozen=True)
class FiniteDataModel:
    """E[x_0 | x_t] plus an error, as a prediction of the target.

    Attributes:
        error: what is added to every coordinate of the predicted x_0.
        target: what is predicted.
        schedule: of the diffusion.
    """

    error: float = 0.0
    target: Target = NOISE
    schedule: Schedule = SCHEDULE

    def __call__(self, x_t: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        alpha, sigma = (
            along_batch(f(t), x_t).to(x_t) for f in (self.schedule.alpha, self.schedule.sigma)
        )
        points = POINTS.to(x_t)
        apart = (x_t[:, None] - alpha[:, None] * points).flatten(2).square().sum(2)
        weights = torch.softmax(-apart / (2 * sigma.flatten(1) ** 2), 1)
        x_0 = torch.einsum("bk,k...->b...", weights, points) + self.error
        return self.target.value(self.schedule, t, x_0, (x_t - alpha * x_0) / sigma).to(x_t)
