"""Mixtures on the line at many times at once: what is integrated over time is found in one pass.

Each time has Gauss-Legendre panels of its own, between the deviations of its components, so that
all arrays are (T, N). Nothing is refined: who integrates must know the result otherwise as well.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from toy.mixtures.diffusion import Diffusion

REACH = 9.0
"""How many standard deviations around each component are covered."""

EDGES = 13
"""Ends of the panels that a component brings, each one and a half deviations long."""

NODES, NODE_WEIGHTS = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(16))


@dataclass(frozen=True)
class Lines:
    """One mixture per time.

    Attributes:
        log_weights: (K,).
        means, variances: (T, K).
    """

    log_weights: Float64[Tensor, "k"]
    means: Float64[Tensor, "time k"]
    variances: Float64[Tensor, "time k"]

    @classmethod
    def of(cls, diffusion: Diffusion, times: Float64[Tensor, "time"]) -> "Lines":
        """The marginals q_t of a one-dimensional diffusion at times (T,)."""
        data, schedule = diffusion.data, diffusion.schedule
        alpha, sigma = schedule.alpha(times)[:, None], schedule.sigma(times)[:, None]
        variances = alpha**2 * data.variances[:, 0] + sigma**2
        return cls(data.log_weights, alpha * data.means[:, 0], variances)

    def log_components(self, x: Float64[Tensor, "time n"]) -> Float64[Tensor, "time n k"]:
        """log(w_k N(x; m_k, v_k))."""
        variances = self.variances[:, None]
        squares = (x[..., None] - self.means[:, None]) ** 2 / variances
        return self.log_weights - (squares + torch.log(2 * math.pi * variances)) / 2

    def log_density(self, x: Float64[Tensor, "time n"]) -> Float64[Tensor, "time n"]:
        """log q_t(x)."""
        return torch.logsumexp(self.log_components(x), -1)

    def score(self, x: Float64[Tensor, "time n"]) -> Float64[Tensor, "time n"]:
        """grad log q_t(x)."""
        own = -(x[..., None] - self.means[:, None]) / self.variances[:, None]
        return (torch.softmax(self.log_components(x), -1) * own).sum(-1)

    def points(self) -> tuple[Float64[Tensor, "time n"], Float64[Tensor, "time n"]]:
        """Points and weights of E h(x_t) ~ sum_n w_n h(x_n), the density in the weights."""
        offsets = torch.linspace(-REACH, REACH, EDGES, dtype=torch.float64)
        ends = self.means[..., None] + self.variances.sqrt()[..., None] * offsets
        edges = ends.flatten(1).sort(1).values
        half = edges.diff(dim=1)[..., None] / 2
        x = (edges[:, :-1, None] + half * (1 + NODES)).flatten(1)
        return x, (half * NODE_WEIGHTS).flatten(1) * torch.exp(self.log_density(x))
