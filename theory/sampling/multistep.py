"""Linear multistep solvers of the probability flow, written as weights of what they combine.

With r = sigma/alpha every Gaussian diffusion is x_0 + r e up to a factor. Here a sample lies at

    u = (x_0 + r e) / sqrt(1 + r^2),

whose coordinates are of one size at all times. A solver evaluates the network at times t_0, ...,
t_{n-1} and goes from u_i to u_{i+1} by

    u_{i+1} = w_{i0} u_i + w_{i1} D_i + w_{i2} D_{i-1} + ...,

D_i the network's prediction of x_0 at its i-th evaluation; u_n is the sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Real
from torch import Tensor

from theory.diffusion.schedules import Schedule
from theory.support.errors import InputError


@dataclass(frozen=True, eq=False)
class Multistep:
    """A linear multistep solver.

    Attributes:
        times: (n,), where the network is evaluated, in this order.
        log_snr: (n,), of these times.
        weights: (n, 1 + h), of u_i, D_i, D_{i-1}, ...; zero for evaluations before the first.

    Raises:
        InputError: not one row of finite weights for each time.
    """

    times: Real[Tensor, "n"]
    log_snr: Float64[Tensor, "n"]
    weights: Float64[Tensor, "n k"]

    def __post_init__(self) -> None:
        shape = tuple(self.weights.shape)
        if len(shape) != 2 or shape[0] != len(self.times) or shape[1] < 2:
            raise InputError(
                f"solver: expected weights of {len(self.times)} evaluations, got {shape}"
            )
        if not self.weights.isfinite().all():
            raise InputError("solver: expected finite weights, got NaN or infinity")

    def __len__(self) -> int:
        return len(self.times)

    def step(
        self, i: int, u: Float[Tensor, "b *shape"], data: Sequence[Float[Tensor, "b *shape"]]
    ) -> Float[Tensor, "b *shape"]:
        """u_{i+1} from u_i and D_0, ..., D_i."""
        weights = self.weights[i].tolist()
        following = weights[0] * u
        for weight, prediction in zip(weights[1:], reversed(data), strict=False):
            if weight:
                following = following + weight * prediction
        return following


def scales(log_snr: Float64[Tensor, "*n"]) -> tuple[Float64[Tensor, "*n"], Float64[Tensor, "*n"]]:
    """(a, s) of u = a x_0 + s e: 1 and r over sqrt(1 + r^2), r^2 = exp(-log_snr)."""
    return log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt()


def with_end(log_snr: Float64[Tensor, "n"]) -> Float64[Tensor, "m"]:
    """The same with that of the sample itself behind: infinity."""
    return torch.cat([log_snr, torch.full((1,), torch.inf, dtype=torch.float64)])


def first_order(schedule: Schedule, times: Real[Tensor, "n"]) -> Multistep:
    """DDIM, the exponential integrator of order 1: u_{i+1} = a' D_i + s' (u_i - a D_i) / s.

    Song et al., "Denoising Diffusion Implicit Models" (2021), equation 12 with eta = 0.

    Args:
        schedule: of the network.
        times: (n,), the noisiest first; the last step goes to x_0.
    """
    log_snr = schedule.log_snr(times)
    a, s = scales(with_end(log_snr))
    kept = s[1:] / s[:-1]
    return Multistep(times, log_snr, torch.stack([kept, a[1:] - kept * a[:-1]], 1))


def second_order(schedule: Schedule, times: Real[Tensor, "n"]) -> Multistep:
    """DPM-Solver++ 2M: D_i is extrapolated in the log of 1/r from the last two evaluations.

    The first step is of order 1, and so is the last, which goes to x_0 (r = 0). Lu et al.,
    "DPM-Solver++" (2022), algorithm 2.

    Args:
        schedule: of the network.
        times: (n,), the noisiest first.
    """
    plain = first_order(schedule, times)
    steps = plain.log_snr.diff() / 2
    weights = torch.zeros(len(times), 3, dtype=torch.float64)
    weights[:, :2] = plain.weights
    further = steps[1:] / (2 * steps[:-1])
    weights[1:-1, 2] = -weights[1:-1, 1] * further
    weights[1:-1, 1] *= 1 + further
    return Multistep(times, plain.log_snr, weights)
