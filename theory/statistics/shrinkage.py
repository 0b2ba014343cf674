"""How much of an estimated shift to apply.

Applying c eta_hat gains 2 c eta_hat.eta - c^2 |eta_hat|^2: the whole estimate, noise and all, may
well lose.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

Shrinkage = Callable[[Tensor, Tensor], Tensor]
"""From energies |eta_hat|^2 and error energies v = E|eta_hat - eta|^2 of parts, their weights c."""


def james_stein(
    energy: Float64[Tensor, "*part"], error_energy: Float64[Tensor, "*part"]
) -> Float64[Tensor, "*part"]:
    """Positive part of 1 - v/|eta_hat|^2: the best weight, with |eta|^2 estimated without bias.

    Nothing is applied where the estimate is no larger than its own noise.
    """
    some = energy > 0
    kept = 1 - error_energy / torch.where(some, energy, torch.ones_like(energy))
    return torch.where(some, kept.clamp(min=0), torch.zeros_like(energy))


def unshrunk(
    energy: Float64[Tensor, "*part"], error_energy: Float64[Tensor, "*part"]
) -> Float64[Tensor, "*part"]:
    """Weight one."""
    return torch.ones_like(energy)


@dataclass(frozen=True)
class Policy:
    """What of an estimate is applied.

    Attributes:
        shrinkage: the weight that it is given.
        smoothed: whether it is smoothed over log-SNR first, and bands of frequencies may be shrunk
            apart: whichever the left-out images like best.
        certified: whether it is applied only where its gain is certain.
    """

    shrinkage: Shrinkage
    smoothed: bool
    certified: bool

    def applies(self, certificates: Float64[Tensor, "time"]) -> Bool[Tensor, "time"]:
        """Where anything is applied, given lower bounds of the gain."""
        return certificates > 0 if self.certified else torch.ones_like(certificates).bool()


CERTIFIED = Policy(james_stein, smoothed=True, certified=True)
"""Smooth, shrink, and leave alone every time whose gain has no positive lower confidence bound."""

SHRUNK = Policy(james_stein, smoothed=True, certified=False)
"""Smooth and shrink: harmless in expectation."""

SMOOTHED = Policy(unshrunk, smoothed=True, certified=False)
"""The whole estimate, smoothed: what a spline over all times makes of it."""

PUBLISHED = Policy(unshrunk, smoothed=False, certified=False)
"""Apply the whole estimate, as published."""

POLICIES = {"certified": CERTIFIED, "shrunk": SHRUNK, "published": PUBLISHED}
"""The policies by name."""
