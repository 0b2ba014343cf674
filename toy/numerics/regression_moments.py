"""Moments of a model's residual and of two features that it is regressed on, by quadrature.

The residual r = y_theta - y, of the known target y = A x_0 + B e, is in units of
sqrt(E y_theta^2 + E y^2), and x_t is about its mean in units of its deviation, so that all sums are
of numbers around one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float64
from torch import Tensor

from toy.mixtures.mixture import GaussianMixture
from toy.mixtures.planted_error import PlantedErrorModel, denoising_terms, known_target
from toy.numerics.quadrature import expectation

Feature = Callable[[Tensor, Tensor], Tensor]
"""From x_t and the prediction, or any other y, in their units."""

Quadratic = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From x_t (n, 1), y_theta (n, 1) and y (n, k) to values (m, n, k), quadratic in y."""


@dataclass(frozen=True)
class RegressionMoments:
    """Moments of a one-dimensional model at time t and of two features f.

    ``slopes`` and ``offset`` below are those of the correction slopes.f + offset.
    """

    model: PlantedErrorModel
    t: float
    first: Feature
    second: Feature

    @cached_property
    def unit(self) -> Tensor:
        """sqrt(E y_theta^2 + E y^2), (1,)."""
        return self._mean(lambda x, y_theta, y: (y_theta**2 + y**2)[None], size=0.0).sqrt()

    @cached_property
    def centre(self) -> Float64[Tensor, "3"]:
        """(E f_1, E f_2, E r)."""
        return self._mean(self._values)

    @cached_property
    def products(self) -> Float64[Tensor, "6 1"]:
        """Products of (f_1, f_2, r) about their means, in the order of ``theory.estimators.affine_sums``."""
        return self._products(self.centre)

    @cached_property
    def raw_products(self) -> Float64[Tensor, "6 1"]:
        """The same products about zero."""
        return self._products(torch.zeros(3, dtype=torch.float64))

    def offset(self, slopes: Float64[Tensor, "2 1"]) -> Tensor:
        """The offset that gives the correction the mean of the residual."""
        return self.centre[2] - self.centre[:2] @ slopes[:, 0]

    def loss(self, slopes: Float64[Tensor, "2 1"], offset: Tensor) -> Tensor:
        """The denoising loss E(r - slopes.f - offset)^2."""

        return self._mean(lambda x, p, y: self._left(x, p, y, slopes, offset)[None] ** 2)[0]

    def own_loss(self, slopes: Float64[Tensor, "2 1"], offset: Tensor) -> Tensor:
        """E(y_theta - E[y|x_t] - slopes.f - offset)^2: what is left of the model's own error."""
        model, t = self.model, self.t
        return self._over_marginal(
            lambda x: self._left(x, model.at(x, t), model.exact(x, t), slopes, offset) ** 2
        )[0]

    def own_cross(self) -> Float64[Tensor, "2"]:
        """E f (y_theta - E[y|x_t])."""

        def cross(x: Tensor) -> Tensor:
            """The products of each feature with the model's own error."""
            first, second, r = self._values(
                x, self.model.at(x, self.t), self.model.exact(x, self.t)
            )
            return torch.cat([first * r, second * r], 1)

        return self._over_marginal(cross)

    def _products(self, centre: Tensor) -> Tensor:
        def products(x: Tensor, y_theta: Tensor, y: Tensor) -> Tensor:
            """All products of two of the three."""
            u, v, r = self._values(x, y_theta, y) - centre[:, None, None]
            return torch.stack([u * u, u * v, v * v, u * r, v * r, r * r])

        return self._mean(products)[:, None]

    def _left(
        self, x: Tensor, y_theta: Tensor, y: Tensor, slopes: Tensor, offset: Tensor
    ) -> Tensor:
        first, second, r = self._values(x, y_theta, y)
        return r - slopes[0] * first - slopes[1] * second - offset

    def _values(self, x: Tensor, y_theta: Tensor, y: Tensor) -> Tensor:
        """Features and residual, (3, n, k)."""
        z = (x - self._law.mean()) / self._deviation
        features = (f(z, y_theta / self.unit).expand_as(y) for f in (self.first, self.second))
        return torch.stack([*features, (y_theta - y) / self.unit])

    def _mean(self, of: Quadratic, size: float = 1.0) -> Tensor:
        model, t = self.model, self.t

        return self._over_marginal(
            lambda x: denoising_terms(
                model, t, x, lambda y_theta, y: of(x, y_theta, y), known_target
            ),
            size,
        )

    def _over_marginal(self, of: Callable[[Tensor], Tensor], size: float = 1.0) -> Tensor:
        scale = min(1 / self.model.frequency, self._deviation.item()) / 2
        return expectation(self._law, of, scale=scale, size=size).value

    @cached_property
    def _law(self) -> GaussianMixture:
        return self.model.diffusion.marginal(self.t)

    @cached_property
    def _deviation(self) -> Tensor:
        weights, mean = torch.exp(self._law.log_weights), self._law.mean()
        return (weights @ ((self._law.means - mean) ** 2 + self._law.variances)).sqrt()
