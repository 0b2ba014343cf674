"""A Gaussian mixture carried through a noise schedule, exactly.

q_t is the mixture of N(alpha_t m_k, alpha_t^2 C_k + sigma_t^2 I). For s < t, with A and V of the
forward transition, Bayes' rule gives the reverse kernel as a mixture again:

    q(x_s|x_t) = sum_k P(k|x_t) N(x_s; alpha_s m_k + G_k (x_t - alpha_t m_k), V C_sk C_tk^{-1}),
    G_k = A C_sk C_tk^{-1},    C_tk = A^2 C_sk + V I.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import Target
from toy.mixtures.mixture import GaussianMixture


def as_time(t: float) -> Tensor:
    """A time as a float64 scalar tensor."""
    return torch.tensor(t, dtype=torch.float64)


@dataclass(frozen=True)
class Diffusion:
    """The diffusion of a mixture of data under a schedule. Times are numbers."""

    data: GaussianMixture
    schedule: Schedule

    def marginal(self, t: float) -> GaussianMixture:
        """q_t."""
        alpha_t, sigma_t = self.scales(t)
        return GaussianMixture(
            self.data.log_weights,
            alpha_t * self.data.means,
            alpha_t**2 * self.data.variances + sigma_t**2,
            self.data.rotations,
        )

    def scales(self, t: float) -> tuple[float, float]:
        """(alpha_t, sigma_t)."""
        time = as_time(t)
        return self.schedule.alpha(time).item(), self.schedule.sigma(time).item()

    def transition(self, s: float, t: float) -> tuple[float, float]:
        """(A, V) of x_t | x_s ~ N(A x_s, V I)."""
        a, v = self.schedule.transition(as_time(s), as_time(t))
        return a.item(), v.item()

    def martingale(self, x_t: Float64[Tensor, "*batch d"], t: float) -> Float64[Tensor, "*batch d"]:
        """M_t = alpha_t grad log q_t(x_t), (*batch, d)."""
        return self.scales(t)[0] * self.marginal(t).score(x_t)

    def posterior(self, x_t: Float64[Tensor, "*batch d"], t: float) -> GaussianMixture:
        """q(x_0|x_t) by conditioning each component, for points (*batch, d): it uses no score."""
        alpha_t, sigma_t = self.scales(t)
        return _conditioned(self.data, self.marginal(t), alpha_t, sigma_t**2, x_t)

    def posterior_mean(
        self, x_t: Float64[Tensor, "*batch d"], t: float
    ) -> Float64[Tensor, "*batch d"]:
        """E[x_0|x_t], (*batch, d)."""
        return self.posterior(x_t, t).mean()

    def reverse_kernel(
        self, x_t: Float64[Tensor, "*batch d"], s: float, t: float
    ) -> GaussianMixture:
        """q(x_s|x_t) for points (*batch, d): a mixture with batch shape (*batch)."""
        a, v = self.transition(s, t)
        return _conditioned(self.marginal(s), self.marginal(t), a, v, x_t)

    def reverse_path(
        self, x_t: Tensor, times: list[float], generator: torch.Generator
    ) -> Iterator[Tensor]:
        """Exact draws of the reverse process from x_t (*batch, d) at times[0], at each later entry.

        ``times`` decreases; the first yield is x_t itself.
        """
        yield x_t
        for t, s in itertools.pairwise(times):
            x_t = self.reverse_kernel(x_t, s, t).sample(generator)[0]
            yield x_t

    def target_size(self, target: Target, t: float) -> float:
        """Size of what E[y|x_t] = A E[x_0|x_t] + B E[e|x_t] adds up, and which may cancel."""
        a, b = target.coefficients(self.schedule, as_time(t))
        x_0 = self.data.means.abs().max() + self.data.variances.max().sqrt()
        return (a.abs() * x_0 + b.abs()).item()

    def noise_prediction(
        self, x_t: Float64[Tensor, "*batch d"], t: float
    ) -> Float64[Tensor, "*batch d"]:
        """E[e|x_t] = -sigma_t grad log q_t(x_t), the exact noise predictor. (*batch, d)."""
        return -self.scales(t)[1] * self.marginal(t).score(x_t)


def _conditioned(
    earlier: GaussianMixture, later: GaussianMixture, a: float, v: float, x_t: Tensor
) -> GaussianMixture:
    """The law of x_s ~ earlier given x_t = a x_s + sqrt(v) e ~ later, each component conditioned.

    Its mean lies between m_s and x_t/a, and is written as a correction of the smaller, so as not to
    lose its digits to the larger.
    """
    z_t, shares = later.centred(x_t), earlier.variances / later.variances
    m_s, x_s = earlier._into(earlier.means), later._into(x_t[..., None, :]) / a
    from_mean = m_s + a * shares * z_t
    from_point = x_s - v / (a * later.variances) * z_t
    means = torch.where(m_s.abs() > 2 * x_s.abs(), from_point, from_mean)
    log_weights = torch.log_softmax(later.log_components(x_t), -1)
    return GaussianMixture(log_weights, later._out_of(means), v * shares, later.rotations)
