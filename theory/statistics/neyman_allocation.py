"""Neyman allocation: how many images to use at each time, and when to stop.

At time k the estimate from n_k images has error V_k / n_k, V_k the variance of a unit, and costs c_k
network evaluations per image. The error of the likelihood bound, sum_k w_k V_k / n_k, is least for a
given number of evaluations if n_k is proportional to sqrt(w_k V_k / c_k): Neyman's allocation of a
stratified sample with unequal costs (Cochran, "Sampling Techniques", 1977, section 5.5).
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from theory.support.errors import InputError

PILOT_IMAGES = 64
"""Images at every time in the pilot, which estimates the variances."""

GROWTH = 4
"""The most by which a round multiplies the evaluations, as the variances are still uncertain."""


@dataclass(frozen=True)
class Goal:
    """When to stop: at a total number of network evaluations, or at a relative error.

    Attributes:
        evaluations: network evaluations over all times and images.
        precision: the relative error sum_k w_k error_k / sum_k w_k |eta_k|^2.

    Raises:
        InputError: neither is given, or one is not positive.
    """

    evaluations: int | None = None
    precision: float | None = None

    def __post_init__(self) -> None:
        if self.evaluations is None and self.precision is None:
            raise InputError("goal: expected a number of evaluations or a precision")
        if self.evaluations is not None and self.evaluations < 1:
            raise InputError(f"budget: expected a positive number, got {self.evaluations}")
        if self.precision is not None and not self.precision > 0:
            raise InputError(f"precision: expected a positive number, got {self.precision}")

    def less(self, spent: int) -> "Goal":
        """The goal that is left when some evaluations are spent already."""
        return (
            self
            if self.evaluations is None
            else replace(self, evaluations=self.evaluations - spent)
        )


def allocate(
    weighted_variance: Float64[Tensor, "time"], cost: Tensor, evaluations: float, most: int
) -> Int64[Tensor, "time"]:
    """Images n_k per time, proportional to sqrt(w_k V_k / c_k), rounded down.

    Args:
        weighted_variance: w_k V_k.
        cost: c_k, evaluations per image.
        evaluations: the most that sum_k c_k n_k may be.
        most: the most images of any time; what this leaves over goes to the other times.
    """
    share = torch.sqrt(weighted_variance.clamp(min=0) / cost)
    share = share.clamp(min=share.max().item() * 1e-6 + 1e-300)
    images = torch.zeros_like(share)
    open_times = torch.ones(len(share), dtype=torch.bool)
    for _ in range(len(share)):
        left = max(0.0, evaluations - (images * cost)[~open_times].sum().item())
        images[open_times] = (left * share / (share * cost)[open_times].sum())[open_times]
        full = open_times & (images >= most)
        if not full.any():
            break
        images[full] = most
        open_times &= ~full
        if not open_times.any():
            break
    return images.floor().long()


def evaluations_for(
    weighted_variance: Float64[Tensor, "time"], cost: Tensor, error: float
) -> float:
    """(sum_k sqrt(w_k V_k c_k))^2 / error, the least evaluations for sum_k w_k V_k / n_k = error."""
    root = torch.sqrt(weighted_variance.clamp(min=0) * cost).sum().item()
    return root**2 / error if error > 0 else float("inf")
