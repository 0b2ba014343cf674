"""How much of a published plain average is noise, from its published norms alone.

For the mean of N independent draws of y, E|mean|^2 = |eta|^2 + V/N with V = tr Cov(y), so the norm
of the mean claims too much by V/N, and applying the mean changes the gain from |eta|^2 to
|eta|^2 - V/N. If the images are a sample of a larger population, V = E|y|^2 - |mean|^2. If they are
the whole of it, only the variance within an image counts; what images contribute, Var E[y|x_0] =
Var E[y - e|x_0], is at most the denoising loss E|y - e|^2, which for noise predictions with
E[y.e] = E|y|^2 is d - E|y|^2. The truth lies between the two.
"""

from dataclasses import dataclass

from jaxtyping import Float64
from torch import Tensor


@dataclass(frozen=True)
class Bracket:
    """A number for images that are a sample, and for images that are the whole population."""

    sample: float
    population: float


@dataclass(frozen=True)
class Audit:
    """Gains of the likelihood bound in nats, and the noise floor of |mean|^2 at each time.

    Attributes:
        claimed: 0.5 sum w |mean|^2, noise and all.
        surviving: what is left of it without the noise.
        net: what applying the noisy mean gains.
        floor_sample, floor_population: V/N per time, (T,).
    """

    claimed: float
    surviving: Bracket
    net: Bracket
    floor_sample: Float64[Tensor, "time"]
    floor_population: Float64[Tensor, "time"]


def audit(
    mean_sq: Float64[Tensor, "time"],
    weighted: Float64[Tensor, "time"],
    energy: Float64[Tensor, "time"],
    images: int,
    dimension: int,
) -> Audit:
    """Audit the statistics of a plain average of noise predictions.

    Args:
        mean_sq: |mean|^2.
        weighted: |mean|^2 (SNR_s/SNR_t - 1), as the discrete likelihood bound weighs it.
        energy: E|y|^2.
        images: N, one draw each.
        dimension: d.
    """
    importance = weighted / mean_sq / 2
    variance = energy - mean_sq
    within = variance - (dimension - energy).clamp(min=0)
    claimed = (importance * mean_sq).sum().item()
    floors = [(v.clamp(min=0) / images) for v in (variance, within)]
    noise = [(importance * floor).sum().item() for floor in floors]
    return Audit(
        claimed,
        Bracket(claimed - noise[0], claimed - noise[1]),
        Bracket(claimed - 2 * noise[0], claimed - 2 * noise[1]),
        floors[0],
        floors[1],
    )
