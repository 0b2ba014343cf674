"""The start of sampling: mean and leading covariance of q at a solver's first time."""

from dataclasses import dataclass

from jaxtyping import Float
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

    mean: Float[Tensor, "*shape"]
    directions: Float[Tensor, "k d"]
    stretch: Float[Tensor, "k"]
    noise: float

    def to(self, like: Tensor) -> "DataStart":
        """The same where a tensor is, in its dtype."""
        return DataStart(
            self.mean.to(like), self.directions.to(like), self.stretch.to(like), self.noise
        )

    @classmethod
    def of(cls, law: DataLaw, a: float, s: float) -> "DataStart":
        """At a time of these a and s."""
        stretch = (a**2 * law.eigenvalues + s**2).sqrt() - s
        return cls(a * law.mean, law.covariance_factor, stretch, s)

    def from_noise(self, noise: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """The starts that standard noise makes."""
        flat = noise.flatten(1)
        along = (flat @ self.directions.T * self.stretch) @ self.directions
        return self.mean + (self.noise * flat + along).reshape(noise.shape)
