"""Expectations under one- and two-dimensional mixtures, with the error that they carry.

The trapezoid rule on the whole line converges geometrically for analytic integrands that decay,
which a Gaussian mixture times a smooth function does. The step is halved until two successive
sums agree; their difference, an upper estimate of the error of the finer one, is reported.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from toy.mixture import GaussianMixture

REACH = 9.0
"""How many standard deviations around each component are covered: 2e-19 of its mass is not."""

FIRST_STEP = 0.7
"""First step, in the smallest standard deviation: error exp(-2 pi^2 / 0.7^2) ~ 3e-18 for a Gaussian."""

MAX_POINTS = 2**22


@dataclass(frozen=True)
class Integral:
    """E h(x), with ``magnitude`` = E|h(x)| (the scale of its rounding) and an error estimate."""

    value: Tensor
    magnitude: Tensor
    error: float


class UnresolvedError(ArithmeticError):
    """The quadrature could not reach its tolerance; no verdict can be based on it."""


def expectation(
    law: GaussianMixture,
    h: Callable[[Tensor], Tensor],
    *,
    scale: float = math.inf,
    rtol: float = 1e-11,
) -> Integral:
    """E_{x ~ law} h(x) for h: (N, d) -> (N, m), d = 1 or 2.

    Args:
        scale: a length over which h varies, if shorter than the law's own (a wave would otherwise
            be sampled too coarsely for two sums to tell).

    Raises:
        UnresolvedError: the sums do not settle to ``rtol`` of E|h|.
    """
    spread = REACH * torch.sqrt(torch.diagonal(law.covariances(), dim1=-2, dim2=-1))
    low = (law.means - spread).amin(0)
    high = (law.means + spread).amax(0)
    step = FIRST_STEP * min(law.variances.min().sqrt().item(), scale)
    previous = None
    while True:
        counts = [int(c) for c in torch.ceil((high - low) / step).tolist()]
        if torch.tensor(counts).prod().item() > MAX_POINTS:
            raise UnresolvedError(f"quadrature: more than {MAX_POINTS} points wanted")
        axes = [
            low[i] + step * torch.arange(count + 1, dtype=torch.float64)
            for i, count in enumerate(counts)
        ]
        x = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)
        weights = torch.exp(law.log_density(x)) * step ** len(axes)
        values = h(x)
        value, magnitude = weights @ values, weights @ values.abs()
        if previous is not None:
            error = (value - previous).abs().max().item()
            if error <= rtol * magnitude.max().item():
                return Integral(value, magnitude, error)
        previous, step = value, step / 2
