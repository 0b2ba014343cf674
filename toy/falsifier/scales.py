"""Whether alpha(t) or sigma(t) of a schedule holds the square of what it is called."""

import torch

from theory.diffusion.schedules import Schedule
from toy.falsifier.validation import places

NEARLY = 1e-9
"""How exactly two scales must add up to one."""


def held_squares(schedule: Schedule) -> str:
    """Which scale holds a square, if alpha + sigma^2 or alpha^2 + sigma is one; else an empty text."""
    t = places(schedule)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)

    def adds_up(total: torch.Tensor) -> bool:
        """Whether it is one at all times."""
        return bool(((total - 1).abs() <= NEARLY).all())

    if adds_up(alpha + sigma**2):
        return "alpha(t) holds alpha^2 (alpha_bar)? It is alpha + sigma^2 that is 1 at all times"
    if adds_up(alpha**2 + sigma):
        return "sigma(t) holds sigma^2, unless it is sub-VP? It is alpha^2 + sigma that is 1 at all times"
    return ""
