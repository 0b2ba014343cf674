"""Exact reverse paths with everything that a stopping rule may look at, and the data they run on."""

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.bounds.optional_stopping import Paths
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture


def on_a_sphere(
    dimension: int,
    weights: tuple[float, ...],
    diameter: float,
    variance: float,
    generator: torch.Generator,
) -> GaussianMixture:
    """Components of covariance ``variance`` I, with means drawn from a sphere of this diameter."""
    directions = torch.randn(len(weights), dimension, generator=generator, dtype=torch.float64)
    means = directions / directions.norm(dim=1, keepdim=True) * diameter / 2
    variances = torch.full((len(weights),), variance, dtype=torch.float64)
    return GaussianMixture.diagonal(torch.tensor(weights), means, variances)


def reverse_paths(
    diffusion: Diffusion,
    x_t: Float64[Tensor, "n d"],
    times: Float64[Tensor, "T"],
    generator: torch.Generator,
) -> Paths:
    """Paths from points x_t (n, d) at times[0] through the others, which decrease."""
    each = times.tolist()
    x = torch.stack(list(diffusion.reverse_path(x_t, each, generator)))
    laws = [diffusion.marginal(t) for t in each]
    scores = torch.stack([law.score(x_r) for law, x_r in zip(laws, x, strict=True)])
    components = [law.responsibilities(x_r) for law, x_r in zip(laws, x, strict=True)]
    alphas = diffusion.schedule.alpha(times)[:, None, None]
    return Paths(diffusion.schedule.log_snr(times), x, alphas * scores, torch.stack(components))
