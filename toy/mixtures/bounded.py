"""Martingales of the reverse process that are bounded, with their exact ranges at every time.

A range is over all x_t: given any past, the reverse kernel reaches everything.

Concentric components N(0, v_k I) in d dimensions: P(1|x_t), of the narrowest, is largest at x_t = 0
and vanishes far out, so that it ranges over (0, 1/(1 + sum_k (w_k/w_1) (c_1/c_k)^(d/2))), with
c_k = alpha^2 v_k + sigma^2. Atoms: u.E[x_0|x_t] ranges between the least and the largest u.x_0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from theory.bounds.concentration import BoundedMartingale, ComponentProbability, PosteriorMean
from theory.diffusion.schedules import Schedule
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture


@dataclass(frozen=True)
class Bounded:
    """A martingale (n,) of points (n, d) at a time, its range at that time, and what it is."""

    diffusion: Diffusion
    value: Callable[[Tensor, float], Tensor]
    range_at: Callable[[float], tuple[float, float]]
    kind: BoundedMartingale

    def width(self, t: float) -> float:
        """Of the range at t."""
        low, high = self.range_at(t)
        return high - low


def concentric(
    weights: tuple[float, ...], variances: tuple[float, ...], dimension: int, schedule: Schedule
) -> Bounded:
    """P(1|x_t) of components N(0, v_k I), the first of them the narrowest."""
    data = GaussianMixture.diagonal(
        torch.tensor(weights), torch.zeros(len(weights), dimension), torch.tensor(variances)
    )
    diffusion = Diffusion(data, schedule)

    def range_at(t: float) -> tuple[float, float]:
        log_weights, c = data.log_weights, diffusion.marginal(t).variances[:, 0]
        ratios = log_weights - log_weights[0] + dimension / 2 * (c[0].log() - c.log())
        return 0.0, (1 / ratios.exp().sum()).item()

    return Bounded(
        diffusion,
        lambda x, t: diffusion.marginal(t).responsibilities(x)[:, 0],
        range_at,
        ComponentProbability(),
    )


def atomic(
    weights: tuple[float, ...], atoms: tuple[tuple[float, ...], ...], schedule: Schedule
) -> Bounded:
    """The first coordinate of E[x_0|x_t], for data that is one of the atoms (K, d)."""
    log_weights = torch.tensor(weights, dtype=torch.float64).log()
    points = torch.tensor(atoms, dtype=torch.float64)
    data = GaussianMixture(torch.log_softmax(log_weights, -1), points, torch.zeros_like(points))
    diffusion = Diffusion(data, schedule)
    ends = points[:, 0].min().item(), points[:, 0].max().item()
    return Bounded(
        diffusion,
        lambda x, t: diffusion.posterior_mean(x, t)[:, 0],
        lambda t: ends,
        PosteriorMean(*ends),
    )
