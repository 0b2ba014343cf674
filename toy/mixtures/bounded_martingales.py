"""Bounded martingales of the reverse process, with their exact ranges at every time.

A range is over all x_t, since the reverse kernel has a density everywhere, whatever the past.

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
from toy.mixtures.mixture import GaussianMixture, float64


@dataclass(frozen=True)
class BoundedProcess:
    """A bounded martingale.

    Attributes:
        diffusion: whose reverse process it is a martingale of.
        value: from points (n, d) and a time to its values (n,).
        range_at: from a time to the ends of its range.
        kind: what ``theory.bounds.concentration`` knows of it.
    """

    diffusion: Diffusion
    value: Callable[[Tensor, float], Tensor]
    range_at: Callable[[float], tuple[float, float]]
    kind: BoundedMartingale

    def width(self, t: float) -> float:
        """Length of the range at t."""
        low, high = self.range_at(t)
        return high - low


def concentric_probability(
    weights: tuple[float, ...], variances: tuple[float, ...], dimension: int, schedule: Schedule
) -> BoundedProcess:
    """P(1|x_t) of components N(0, v_k I), the first of them the narrowest."""
    data = GaussianMixture.diagonal(
        torch.tensor(weights), torch.zeros(len(weights), dimension), torch.tensor(variances)
    )
    diffusion = Diffusion(data, schedule)

    def range_at(t: float) -> tuple[float, float]:
        """From 0 to the value at x_t = 0."""
        log_weights, c = data.log_weights, diffusion.marginal(t).variances[:, 0]
        ratios = log_weights - log_weights[0] + dimension / 2 * (c[0].log() - c.log())
        return 0.0, (1 / ratios.exp().sum()).item()

    return BoundedProcess(
        diffusion,
        lambda x, t: diffusion.component_probabilities(x, t)[:, 0],
        range_at,
        ComponentProbability(),
    )


def atomic_mean(
    weights: tuple[float, ...], atoms: tuple[tuple[float, ...], ...], schedule: Schedule
) -> BoundedProcess:
    """The first coordinate of E[x_0|x_t], for data that is one of the atoms (K, d)."""
    points = float64(atoms)
    data = GaussianMixture.atoms(float64(weights), points)
    diffusion = Diffusion(data, schedule)
    ends = points[:, 0].min().item(), points[:, 0].max().item()
    return BoundedProcess(
        diffusion,
        lambda x, t: diffusion.posterior_mean(x, t)[:, 0],
        lambda t: ends,
        PosteriorMean(*ends),
    )
