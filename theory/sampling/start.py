"""The start of sampling: mean and leading covariance of q at a solver's first time."""

from dataclasses import dataclass

from jaxtyping import Float, Float64
from torch import Tensor

from theory.sampling.data_law import DataLaw


@dataclass(frozen=True, eq=False)
class DataStart:
    """Starts u = a x_0 + s e as far as the mean and the leading covariance of the data tell.

    Attributes:
        mean: a mu.
        directions: (k, d), orthonormal.
        stretch: (k,), what the noise in these directions is multiplied by, less s.
        noise: s.
    """

    mean: Float64[Tensor, "*shape"]
    directions: Float64[Tensor, "k d"]
    stretch: Float64[Tensor, "k"]
    noise: float

    @classmethod
    def of(cls, law: DataLaw, a: float, s: float) -> "DataStart":
        """At a time of these a and s."""
        stretch = (a**2 * law.eigenvalues + s**2).sqrt() - s
        return cls(a * law.mean, law.covariance_factor, stretch, s)

    def from_noise(self, noise: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """The starts that standard noise makes."""
        flat, directions = noise.flatten(1), self.directions.to(noise)
        along = (flat @ directions.T * self.stretch.to(noise)) @ directions
        return self.mean.to(noise) + (self.noise * flat + along).reshape(noise.shape)
