"""Where to spend network evaluations: pilot, allocate, stop.

At time k the estimate from n_k images has error V_k / n_k, V_k the variance of a unit, at c_k
evaluations per image. The error of the likelihood bound, sum_k w_k V_k / n_k, is least for a given
number of evaluations when n_k is proportional to sqrt(w_k V_k / c_k).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from theory.support.errors import InputError

PILOT_IMAGES = 64
GROWTH = 4
"""A round at most multiplies the evaluations by this, as variances are still being learned."""


@dataclass(frozen=True)
class Goal:
    """When to stop: at a number of evaluations in all, or at a relative error of the whole.

    Attributes:
        evaluations: network evaluations over all times and images.
        precision: sum_k w_k error_k over sum_k w_k |eta_k|^2.

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


def allocate(
    weighted_variance: Float64[Tensor, "time"], cost: Tensor, evaluations: float, most: int
) -> Int64[Tensor, "time"]:
    """Images n_k per time, proportional to sqrt(w_k V_k / c_k), for so many evaluations in all.

    None gets more than ``most``; what that leaves over goes to the others.
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
    """Evaluations in all that bring sum_k w_k V_k / n_k down to ``error``, best allocated."""
    root = torch.sqrt(weighted_variance.clamp(min=0) * cost).sum().item()
    return root**2 / error if error > 0 else float("inf")
