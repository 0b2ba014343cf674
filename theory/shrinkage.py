"""How much of an estimated shift to apply. Applying c eta_hat gains 2 c eta_hat.eta - c^2 |eta_hat|^2."""

from collections.abc import Callable

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
    """Weight one, as published: the whole estimate, noise and all."""
    return 1.0
