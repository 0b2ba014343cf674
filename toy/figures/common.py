"""What several figures are computed from."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.stats import beta
from torch import Tensor

from theory.diffusion.schedules import VPLinear
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture

Process = Callable[[Tensor, float], Tensor]
"""From points (n, d) at one time, a number for each, (n,)."""

SHOWN = 60
"""Paths that are drawn one by one."""


@dataclass(frozen=True)
class Bundle:
    """A martingale along reverse paths: some paths (T, n), mean and standard error of all (T,)."""

    times: Tensor
    shown: Tensor
    mean: Tensor
    error: Tensor
    count: int


@dataclass(frozen=True)
class Frequencies:
    """How often |value| >= eps was seen: eps, share, and a 99 % interval's ends, each (E,)."""

    eps: Tensor
    share: Tensor
    lower: Tensor
    upper: Tensor


def line() -> Diffusion:
    """Two components on the line."""
    data = GaussianMixture.diagonal(
        torch.tensor([0.6, 0.4]), torch.tensor([[-2.0], [1.5]]), torch.tensor([0.15, 0.3])
    )
    return Diffusion(data, VPLinear())


def gaussian(variance: float) -> Diffusion:
    """One Gaussian N(0, variance) on the line."""
    data = GaussianMixture.diagonal(torch.ones(1), torch.zeros(1, 1), torch.tensor([variance]))
    return Diffusion(data, VPLinear())


def pair(dimension: int, diameter: float, variance: float) -> Diffusion:
    """Two components of one variance, so far apart, on the diagonal."""
    half = torch.full((1, dimension), diameter / 2 / dimension**0.5, dtype=torch.float64)
    data = GaussianMixture.diagonal(
        torch.tensor([0.6, 0.4]), torch.cat([half, -half]), torch.full((2,), variance)
    )
    return Diffusion(data, VPLinear())


def times_between(diffusion: Diffusion, t: float, s: float, steps: int) -> Tensor:
    """Times from t down to s < t, evenly in log-SNR, (steps + 1,)."""
    schedule = diffusion.schedule
    ends = schedule.log_snr(torch.tensor([t, s], dtype=torch.float64)).tolist()
    return schedule.time_of(torch.linspace(ends[0], ends[1], steps + 1, dtype=torch.float64))


def along(
    diffusion: Diffusion, x: Tensor, times: Tensor, process: Process, generator: torch.Generator
) -> Tensor:
    """The process along exact reverse paths from x (n, d), (T, n)."""
    each = times.tolist()
    path = diffusion.reverse_path(x, each, generator)
    return torch.stack([process(x_t, t) for x_t, t in zip(path, each, strict=True)])


def bundle(times: Tensor, values: Tensor) -> Bundle:
    """Of values (T, n)."""
    count = values.shape[1]
    return Bundle(times, values[:, :SHOWN], values.mean(1), values.std(1) / count**0.5, count)


def frequencies(values: Tensor, eps: Tensor) -> Frequencies:
    """Of independent values (n,) at or above each eps, with Clopper and Pearson's intervals."""
    n, seen = len(values), (values >= eps[:, None]).sum(1).double()
    lower = torch.from_numpy(beta.ppf(0.005, seen.numpy(), n - seen.numpy() + 1))
    upper = torch.from_numpy(beta.ppf(0.995, seen.numpy() + 1, n - seen.numpy()))
    return Frequencies(eps, seen / n, lower.nan_to_num(0.0), upper.nan_to_num(1.0))
