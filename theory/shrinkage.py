"""How much of an estimated shift to apply.

Applying c eta_hat gains 2 c eta_hat.eta - c^2 |eta_hat|^2: the whole estimate, noise and all, may
well lose.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Shrinkage = Callable[[Tensor, float], float]
"""From the estimate eta_hat (*shape) and its error energy v = E|eta_hat - eta|^2, the weight c."""


def james_stein(estimate: Tensor, error_energy: float) -> float:
    """Positive part of 1 - v/|eta_hat|^2: the best weight, with |eta|^2 estimated without bias.

    Nothing is applied where the estimate is no larger than its own noise.
    """
    norm = estimate.square().sum().item()
    return max(0.0, 1 - error_energy / norm) if norm > 0 else 0.0


def unshrunk(estimate: Tensor, error_energy: float) -> float:
    """Weight one."""
    return 1.0


@dataclass(frozen=True)
class Policy:
    """What of an estimate is applied.

    Attributes:
        shrinkage: the weight that it is given.
        smoothed: whether it is smoothed over log-SNR first.
        certified: whether it is applied only where its gain is certain.
    """

    shrinkage: Shrinkage
    smoothed: bool
    certified: bool


CERTIFIED = Policy(james_stein, smoothed=True, certified=True)
"""Smooth, shrink, and leave alone every time whose gain has no positive lower confidence bound."""

SHRUNK = Policy(james_stein, smoothed=True, certified=False)
"""Smooth and shrink: harmless in expectation."""

PUBLISHED = Policy(unshrunk, smoothed=False, certified=False)
"""Apply the whole estimate, as published."""

POLICIES = {"certified": CERTIFIED, "shrunk": SHRUNK, "published": PUBLISHED}
"""The policies by name."""
