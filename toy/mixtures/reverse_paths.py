"""Values of processes along exact reverse paths, and data to run them on."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float64
from torch import Tensor

from theory.bounds.optional_stopping import Paths
from theory.diffusion.schedules import VPLinear
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture


def two_components(dimension: int, diameter: float, variance: float) -> Diffusion:
    """N(+-m, variance I) of weights 0.6 and 0.4 on the diagonal, 2|m| = diameter; one law at 0."""
    half = torch.full((1, dimension), diameter / 2 / math.sqrt(dimension), dtype=torch.float64)
    data = GaussianMixture.diagonal(
        torch.tensor([0.6, 0.4]), torch.cat([half, -half]), torch.full((2,), variance)
    )
    return Diffusion(data, VPLinear())


def mixture_on_sphere(
    dimension: int,
    weights: tuple[float, ...],
    diameter: float,
    variance: float,
    generator: torch.Generator,
) -> GaussianMixture:
    """Components of covariance ``variance`` I whose means are drawn uniformly from a sphere.

    Args:
        dimension: d.
        weights: one for each component.
        diameter: of the sphere about 0.
        variance: of every component in every direction.
        generator: of the means.
    """
    directions = torch.randn(len(weights), dimension, generator=generator, dtype=torch.float64)
    means = directions / directions.norm(dim=1, keepdim=True) * diameter / 2
    variances = torch.full((len(weights),), variance, dtype=torch.float64)
    return GaussianMixture.diagonal(torch.tensor(weights), means, variances)


def directions(
    data: GaussianMixture, start: Float64[Tensor, "d"], count: int, generator: torch.Generator
) -> Float64[Tensor, "n d"]:
    """Unit vectors: ``count`` random ones, that of a start, and those of the data's means."""
    random = torch.randn(count, len(start), generator=generator, dtype=torch.float64)
    units = torch.cat([random, start[None], data.means])
    return units / units.norm(dim=1, keepdim=True)


def values_along_paths(
    diffusion: Diffusion,
    x_t: Float64[Tensor, "n d"],
    times: list[float],
    process: Callable[[Tensor, float], Tensor],
    generator: torch.Generator,
) -> Tensor:
    """process(x_r, r) along exact reverse paths, (len(times), n, ...).

    Args:
        diffusion: whose reverse process is drawn.
        x_t: where the paths start, at times[0].
        times: decreasing.
        process: from points (n, d) and their time to values (n, ...).
        generator: of the paths.
    """
    path = diffusion.reverse_path(x_t, times, generator)
    return torch.stack([process(x_r, r) for x_r, r in zip(path, times, strict=True)])


def reverse_paths(
    diffusion: Diffusion,
    x_t: Float64[Tensor, "n d"],
    times: Float64[Tensor, "T"],
    generator: torch.Generator,
) -> Paths:
    """Exact paths from points x_t at times[0], with what a stopping rule may look at."""
    each = times.tolist()
    x = torch.stack(list(diffusion.reverse_path(x_t, each, generator)))
    scores, components = (
        torch.stack([of(x_r, r) for x_r, r in zip(x, each, strict=True)])
        for of in (diffusion.score, diffusion.component_probabilities)
    )
    alphas = diffusion.schedule.alpha(times)[:, None, None]
    return Paths(diffusion.schedule.log_snr(times), x, alphas * scores, components)
