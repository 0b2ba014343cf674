"""Shrinkage of an estimated shift: positive-part James-Stein, an empirical-Bayes weight.

Subtracting c eta_hat gains 2 c eta_hat.eta - c^2 |eta_hat|^2. With c = 1 this may be a loss, as the
estimate's noise is subtracted too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

Shrinkage = Callable[[Tensor, Tensor], Tensor]
"""(|eta_hat|^2, v = E|eta_hat - eta|^2) of the parts of an estimate -> their weights c."""


def james_stein(
    energy: Float64[Tensor, "*part"], error_energy: Float64[Tensor, "*part"]
) -> Float64[Tensor, "*part"]:
    """Positive part of 1 - v/|eta_hat|^2: zero where the estimate is no larger than its noise.

    It is the best weight |eta|^2 / (|eta|^2 + v) with |eta_hat|^2, whose mean is |eta|^2 + v, in its
    place. James & Stein, "Estimation with Quadratic Loss" (1961); Efron & Morris, "Stein's Estimation
    Rule and Its Competitors: An Empirical Bayes Approach" (1973).
    """
    some = energy > 0
    kept = 1 - error_energy / torch.where(some, energy, torch.ones_like(energy))
    return torch.where(some, kept.clamp(min=0), torch.zeros_like(energy))


def unshrunk(
    energy: Float64[Tensor, "*part"], error_energy: Float64[Tensor, "*part"]
) -> Float64[Tensor, "*part"]:
    """Weight one: the estimate as it is."""
    return torch.ones_like(energy)


@dataclass(frozen=True)
class Policy:
    """How an estimate is turned into the shift that is applied.

    Attributes:
        shrinkage: gives the weights.
        smoothed: whether the estimate may be smoothed over log-SNR, and its DCT bands shrunk
            separately; the gain on left-out images decides.
        certified: whether the shift is applied only where its gain has a positive lower bound.
    """

    shrinkage: Shrinkage
    smoothed: bool
    certified: bool

    def applies(self, certificates: Float64[Tensor, "time"]) -> Bool[Tensor, "time"]:
        """At which times the shift is applied, given lower bounds of its gain."""
        return certificates > 0 if self.certified else torch.ones_like(certificates).bool()


CERTIFIED = Policy(james_stein, smoothed=True, certified=True)
"""Smooth and shrink; apply nothing at times whose gain has no positive lower confidence bound."""

SHRUNK = Policy(james_stein, smoothed=True, certified=False)
"""Smooth and shrink: harmless in expectation."""

SMOOTHED = Policy(unshrunk, smoothed=True, certified=False)
"""Smooth over all times by a spline, without shrinkage."""

UNSHRUNK = Policy(unshrunk, smoothed=False, certified=False)
"""Apply the estimate as it is, as published."""

POLICIES = {"certified": CERTIFIED, "shrunk": SHRUNK, "unshrunk": UNSHRUNK}
"""The policies by name."""
