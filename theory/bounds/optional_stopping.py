"""Stopping times of the reverse process, and choices in hindsight that are none.

For a bounded stopping time tau, E[M_tau | x_T] = M_T(x_T), and so E M_tau = 0 (Doob's optional
stopping theorem). A ``Rule`` gets the part of the paths up to now and says which of them stop; it
cannot look ahead. ``stopping_index`` runs it along a grid, on which the stopped process is a
martingale too. A ``Hindsight`` gets whole paths: its choice is no stopping time, and the theorem fails
for it.

The quadratic variation up to tau is at most that of the whole path, so that u.(M_tau - M_T) is
sub-Gaussian with the ``variance_proxy`` V of ``theory.bounds.concentration`` between the ends of the
grid.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor


@dataclass(frozen=True)
class Paths:
    """n reverse paths on a grid of T decreasing times, or their part up to some time.

    Attributes:
        log_snr: (T,), increasing.
        x: (T, n, d).
        martingale: M along the paths, (T, n, d).
        components: P(k|x_t) along the paths, (T, n, K).
    """

    log_snr: Float64[Tensor, "T"]
    x: Float64[Tensor, "T n d"]
    martingale: Float64[Tensor, "T n d"]
    components: Float64[Tensor, "T n k"]

    def until(self, i: int) -> "Paths":
        """The part of the paths up to the i-th time of the grid."""
        parts = {name: value[: i + 1] for name, value in vars(self).items()}
        return replace(self, **parts)


Rule = Callable[[Paths], Bool[Tensor, "n"]]
"""From the paths up to now, which of them stop now, if they have not stopped before."""

Hindsight = Callable[[Paths], Int64[Tensor, "n"]]
"""From whole paths, an index of the grid for each: not a stopping time."""


def stopping_index(rule: Rule, paths: Paths) -> Int64[Tensor, "n"]:
    """The first index at which the rule stops each path, or the last index if it never does."""
    last = len(paths.log_snr) - 1
    index = torch.full((paths.x.shape[1],), last)
    for i in reversed(range(last)):
        index = torch.where(rule(paths.until(i)), i, index)
    return index


def stopped(paths: Paths, index: Int64[Tensor, "n"]) -> Float64[Tensor, "n d"]:
    """M_tau of each path, (n, d)."""
    return paths.martingale[index, torch.arange(len(index))]


@dataclass(frozen=True)
class Exit:
    """The first time that |x_t| exceeds the radius."""

    radius: float

    def __call__(self, seen: Paths) -> Bool[Tensor, "n"]:
        return seen.x[-1].norm(dim=-1) > self.radius


@dataclass(frozen=True)
class Commitment:
    """The first time that the posterior probability of some component exceeds a threshold."""

    probability: float

    def __call__(self, seen: Paths) -> Bool[Tensor, "n"]:
        return seen.components[-1].amax(-1) > self.probability


@dataclass(frozen=True)
class LargeScore:
    """The first time that |M_t| exceeds a level."""

    level: float

    def __call__(self, seen: Paths) -> Bool[Tensor, "n"]:
        return seen.martingale[-1].norm(dim=-1) > self.level


@dataclass(frozen=True)
class Drawdown:
    """The first time that |M_t| is below this share of its maximum so far."""

    share: float

    def __call__(self, seen: Paths) -> Bool[Tensor, "n"]:
        size = seen.martingale.norm(dim=-1)
        return size[-1] < self.share * size.amax(0)


@dataclass(frozen=True)
class SnrLevel:
    """The first time that the log-SNR exceeds a level, the same for every path."""

    log_snr: float

    def __call__(self, seen: Paths) -> Bool[Tensor, "n"]:
        passed = bool(seen.log_snr[-1] > self.log_snr)
        return torch.full((seen.x.shape[1],), passed)


CLOCK = 0x636C6F636B
"""Seeds the stream of clocks together with the seed, so that no other stream is the same."""


@dataclass(frozen=True)
class RandomClock:
    """A random clock for each path, independent of the paths: exponential in log-SNR from the start.

    Its stream is derived from the seed, and differs from that of a generator with this seed.
    """

    rate: float
    seed: int

    def __call__(self, seen: Paths) -> Bool[Tensor, "n"]:
        words = np.random.SeedSequence([self.seed, CLOCK]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(words[0]))
        draws = torch.rand(seen.x.shape[1], generator=generator, dtype=torch.float64)
        return seen.log_snr[-1] - seen.log_snr[0] > -torch.log1p(-draws) / self.rate


def largest_score(paths: Paths) -> Int64[Tensor, "n"]:
    """Hindsight: where |M_t| is largest over the whole path."""
    return paths.martingale.norm(dim=-1).argmax(0)


@dataclass(frozen=True)
class LastExit:
    """Hindsight: the last time that |x_t| exceeds the radius, or the end if it never does."""

    radius: float

    def __call__(self, paths: Paths) -> Int64[Tensor, "n"]:
        outside = paths.x.norm(dim=-1) > self.radius
        last = len(outside) - 1
        steps = torch.arange(len(outside))[:, None].expand(outside.shape)
        return torch.where(outside, steps, -1).amax(0).where(outside.any(0), torch.tensor(last))


def farthest_along_start(paths: Paths) -> Int64[Tensor, "n"]:
    """Hindsight: where M_t lies farthest along M_T over the whole path."""
    return _along_start(paths).argmax(0)


def last_beyond_start(paths: Paths) -> Int64[Tensor, "n"]:
    """Hindsight: the last time that M_t lies beyond M_T, along M_T, or the start if it never does."""
    along = _along_start(paths)
    steps = torch.arange(len(along))[:, None].expand(along.shape)
    return torch.where(along > along[0], steps, 0).amax(0)


def _along_start(paths: Paths) -> Float64[Tensor, "T n"]:
    """M_t . M_T."""
    return (paths.martingale * paths.martingale[0]).sum(-1)
