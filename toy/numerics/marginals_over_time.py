"""The marginals of a diffusion on the line at many times, evaluated together.

Each time has Gauss-Legendre panels of its own, which end at multiples of each component's deviation
from its mean, so that all arrays are (T, N). Nothing is refined and no error is reported: use it only
where the result is known otherwise as well.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.diffusion.schedules import Schedule
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import float64
from toy.mixtures.short_dimensions import logsumexp, softmax, total
from toy.numerics.gauss_rules import gauss_legendre

REACH = 9.0
"""Standard deviations around each component that the panels cover."""

EDGES = 13
"""Ends of panels of each component, one and a half deviations apart."""

NODES, NODE_WEIGHTS = gauss_legendre(16)

PANEL = 1.0
"""Longest panel of an integral over time, in log-SNR."""

TIME_NODES, TIME_WEIGHTS = gauss_legendre(8)


@dataclass(frozen=True)
class MarginalsOverTime:
    """One mixture on the line for each time.

    Attributes:
        log_weights: (K,).
        means, variances: (T, K).
    """

    log_weights: Float64[Tensor, "k"]
    means: Float64[Tensor, "time k"]
    variances: Float64[Tensor, "time k"]

    @classmethod
    def of(cls, diffusion: Diffusion, times: Float64[Tensor, "time"]) -> "MarginalsOverTime":
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
        return logsumexp(self.log_components(x))

    def score(self, x: Float64[Tensor, "time n"]) -> Float64[Tensor, "time n"]:
        """grad log q_t(x)."""
        own = -(x[..., None] - self.means[:, None]) / self.variances[:, None]
        return total(softmax(self.log_components(x)) * own)

    def points(self) -> tuple[Float64[Tensor, "time n"], Float64[Tensor, "time n"]]:
        """Points x_n and weights w_n of E h(x_t) ~ sum_n w_n h(x_n); the weights hold the density."""
        offsets = torch.linspace(-REACH, REACH, EDGES, dtype=torch.float64)
        ends = self.means[..., None] + self.variances.sqrt()[..., None] * offsets
        edges = ends.flatten(1).sort(1).values
        half = edges.diff(dim=1)[..., None] / 2
        x = (edges[:, :-1, None] + half * (1 + NODES)).flatten(1)
        return x, (half * NODE_WEIGHTS).flatten(1) * torch.exp(self.log_density(x))


def log_snr_panels(
    schedule: Schedule, s: float, t: float
) -> tuple[Float64[Tensor, "time"], Float64[Tensor, "time"]]:
    """Times and weights of int h |d lambda| ~ sum w h between s and t, on panels of log-SNR."""
    high, low = schedule.log_snr(float64([s, t])).tolist()
    edges = torch.linspace(low, high, int((high - low) / PANEL) + 2, dtype=torch.float64)
    half = edges.diff()[:, None] / 2
    times = schedule.time_of((edges[:-1, None] + half * (1 + TIME_NODES)).flatten())
    return times, (half * TIME_WEIGHTS).flatten()
