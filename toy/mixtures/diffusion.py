"""A Gaussian mixture carried through a noise schedule, exactly.

q_t is the mixture of N(alpha_t m_k, alpha_t^2 C_k + sigma_t^2 I). For s < t, with A and V of the
forward transition, Bayes' rule gives the reverse kernel as a mixture again:

    q(x_s|x_t) = sum_k P(k|x_t) N(x_s; alpha_s m_k + G_k (x_t - alpha_t m_k), V C_sk C_tk^{-1}),
    G_k = A C_sk C_tk^{-1},    C_tk = A^2 C_sk + V I.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import Target
from toy.mixtures.mixture import GaussianMixture, Points, float64
from toy.mixtures.short_dimensions import log_softmax


@dataclass(frozen=True)
class Diffusion:
    """The diffusion of a mixture of data under a schedule. Times are numbers."""

    data: GaussianMixture
    schedule: Schedule

    def marginal(self, t: float) -> GaussianMixture:
        """q_t."""
        if t not in self._marginals:
            alpha_t, sigma_t = self.scales(t)
            self._marginals[t] = GaussianMixture(
                self.data.log_weights,
                alpha_t * self.data.means,
                alpha_t**2 * self.data.variances + sigma_t**2,
                self.data.rotations,
            )
        return self._marginals[t]

    def scales(self, t: float) -> tuple[float, float]:
        """(alpha_t, sigma_t)."""
        if t not in self._scales:
            time = float64(t)
            self._scales[t] = self.schedule.alpha(time).item(), self.schedule.sigma(time).item()
        return self._scales[t]

    @cached_property
    def _scales(self) -> dict[float, tuple[float, float]]:
        """What was computed so far: a time is asked for again and again."""
        return {}

    @cached_property
    def _marginals(self) -> dict[float, GaussianMixture]:
        return {}

    def transition(self, s: float, t: float) -> tuple[float, float]:
        """(A, V) of x_t | x_s ~ N(A x_s, V I)."""
        a, v = self.schedule.transition(float64(s), float64(t))
        return a.item(), v.item()

    def score(self, x_t: Points, t: float) -> Points:
        """grad log q_t(x_t), (*batch, d)."""
        return self.marginal(t).score(x_t)

    def component_probabilities(self, x_t: Points, t: float) -> Float64[Tensor, "*batch k"]:
        """P(k|x_t), (*batch, K)."""
        return self.marginal(t).responsibilities(x_t)

    def martingale(self, x_t: Points, t: float) -> Points:
        """M_t = alpha_t grad log q_t(x_t), (*batch, d)."""
        return self.scales(t)[0] * self.score(x_t, t)

    def posterior(self, x_t: Points, t: float) -> GaussianMixture:
        """q(x_0|x_t) for points (*batch, d), by conditioning each component and not by the score."""
        alpha_t, sigma_t = self.scales(t)
        return _conditioned(self.data, self.marginal(t), alpha_t, sigma_t**2, x_t)

    def posterior_mean(self, x_t: Points, t: float) -> Points:
        """E[x_0|x_t], (*batch, d)."""
        return self.posterior(x_t, t).mean()

    def reverse_kernel(self, x_t: Points, s: float, t: float) -> GaussianMixture:
        """q(x_s|x_t) for points (*batch, d): a mixture with batch shape (*batch)."""
        a, v = self.transition(s, t)
        return _conditioned(self.marginal(s), self.marginal(t), a, v, x_t)

    def reverse_path(
        self, x_t: Tensor, times: list[float], generator: torch.Generator
    ) -> Iterator[Tensor]:
        """x_t (*batch, d) at times[0], then an exact draw of the reverse process at each later entry.

        Args:
            x_t: where the paths start, (*batch, d).
            times: decreasing.
            generator: of the draws.
        """
        yield x_t
        for t, s in itertools.pairwise(times):
            x_t = self.reverse_kernel(x_t, s, t).sample(generator)[0]
            yield x_t

    def target_size(self, target: Target, t: float) -> float:
        """Size of the terms of E[y|x_t] = A E[x_0|x_t] + B E[e|x_t], which may cancel."""
        a, b = target.coefficients(self.schedule, float64(t))
        x_0 = self.data.means.abs().max() + self.data.variances.max().sqrt()
        return (a.abs() * x_0 + b.abs()).item()

    def noise_prediction(self, x_t: Points, t: float) -> Points:
        """E[e|x_t] = -sigma_t grad log q_t(x_t), the exact noise predictor. (*batch, d)."""
        return -self.scales(t)[1] * self.score(x_t, t)


Process = Callable[[Diffusion, Tensor, float], Tensor]
"""From a diffusion, points (*batch, d) and their time to values (*batch, m)."""

Kernel = Callable[[Diffusion, Tensor, float, float], GaussianMixture]
"""From a diffusion, points x_t (*batch, d) and times s < t to a law of x_s given x_t."""


def _conditioned(
    earlier: GaussianMixture, later: GaussianMixture, a: float, v: float, x_t: Tensor
) -> GaussianMixture:
    """The law of x_s ~ earlier given x_t = a x_s + sqrt(v) e ~ later, component by component.

    Each mean lies between m_s and x_t/a. It is written as a correction of the smaller of the two,
    whose digits the larger would swallow.
    """
    z_t, shares = later.centred(x_t), earlier.variances / later.variances
    m_s, x_s = earlier.to_eigenbasis(earlier.means), later.to_eigenbasis(x_t[..., None, :]) / a
    from_mean = m_s + a * shares * z_t
    from_point = x_s - v / (a * later.variances) * z_t
    means = torch.where(m_s.abs() > 2 * x_s.abs(), from_point, from_mean)
    log_weights = log_softmax(later.log_components_of(z_t))
    return GaussianMixture(log_weights, later.from_eigenbasis(means), v * shares, later.rotations)
