"""Tails against their bounds, and optional stopping."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from theory.bounds.concentration import (
    ComponentProbability,
    azuma_hoeffding,
    doob,
    quadratic_variation_tail,
    variance_proxy,
)
from theory.bounds.gaussian_tails import (
    absolute_moment,
    absolute_supremum_tail,
    clock,
    clock_between,
    log_supremum_tail,
)
from theory.bounds.optional_stopping import (
    Commitment,
    Drawdown,
    Exit,
    LargeScore,
    LastExit,
    Paths,
    RandomClock,
    Rule,
    SnrLevel,
    largest_score,
    stopped,
    stopping_index,
)
from toy.figures.common import Frequencies, along, frequencies, gaussian, pair, times_between
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.reverse_paths import reverse_paths

T, S = 1.0, 0.05
DOOB_ORDERS = (1.0, 2.0, 4.0, 8.0)
INTERVAL = 2.576
"""Standard errors of a 99 % interval."""


@dataclass(frozen=True)
class Tails:
    """P(sup >= eps): closed forms of one Gaussian, frequencies along paths, and bounds.

    Left, u.(M_r - M_T) given x_T, eps in units of sqrt(V); right, |M_r|, in units of sqrt(Var M_s).
    ``doob`` is (orders, E); the mixture is of two components in d = 8.
    """

    eps: Tensor
    exact: Tensor
    bound: Tensor
    gaussian: Frequencies
    mixture: Frequencies
    exact_absolute: Tensor
    doob: dict[str, Tensor]
    absolute: Frequencies


@dataclass(frozen=True)
class Azuma:
    """Means over ``group`` paths of P(1|x_s) - P(1|x_T), and of the score in units of itself."""

    group: int
    eps: Tensor
    bound: Tensor
    probability: Frequencies
    score: Frequencies


@dataclass(frozen=True)
class Stopping:
    """u.(mean of M_tau - M_T) with half of its 99 % interval: rules first, then hindsight."""

    names: list[str]
    honest: list[bool]
    values: Tensor
    errors: Tensor
    count: int


def tails(seed: int, count: int = 10_000, steps: int = 150) -> Tails:
    """How tight the bounds of the supremum are."""
    generator, alone, wide = torch.Generator().manual_seed(seed), gaussian(1.0), gaussian(10.0)
    eps = torch.linspace(0.25, 4.0, 31, dtype=torch.float64)
    each, seen_at = eps.tolist(), eps[1::3]
    start, end = (clock(wide.schedule, 10.0, r) for r in (T, S))
    left = clock_between(wide.schedule, 10.0, S, T)
    x = wide.marginal(T).sample(generator, count)
    absolute = _scores(wide, x, steps, generator).abs().amax(0) / math.sqrt(end)
    return Tails(
        eps,
        _numbers([math.exp(log_supremum_tail(e, 1.0)) for e in each]),
        _numbers([quadratic_variation_tail(e, 1.0) for e in each]),
        frequencies(_risen(alone, 1.0, 0.0, count, steps, generator), seen_at),
        frequencies(_risen(pair(8, 2.0, 1.0), 1.0, 2.0, count, steps, generator), seen_at),
        _numbers([absolute_supremum_tail(e * math.sqrt(end), start, left) for e in each]),
        {
            f"{p:g}": _numbers([doob(e, absolute_moment(1.0, p), p) for e in each])
            for p in DOOB_ORDERS
        },
        frequencies(absolute, seen_at),
    )  # fmt: skip


def _numbers(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _scores(diffusion: Diffusion, x: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """M along paths, in the direction of the diagonal, (T, n)."""
    times, d = times_between(diffusion, T, S, steps), diffusion.data.dimension
    return along(
        diffusion, x, times, lambda x, t: diffusion.martingale(x, t).sum(1) / d**0.5, generator
    )


def _risen(
    diffusion: Diffusion, v: float, diameter: float, count: int, steps: int, gen: torch.Generator
) -> Tensor:
    """sup u.(M_r - M_T) from one x_T, in units of sqrt(V), (n,)."""
    x = diffusion.marginal(T).sample(gen)[0].expand(count, diffusion.data.dimension)
    m = _scores(diffusion, x, steps, gen)
    proxy = variance_proxy(diffusion.schedule, v, diameter, S, T)
    return (m - m[0]).amax(0) / math.sqrt(proxy)


def azuma(seed: int, groups: int = 5000, group: int = 10) -> Azuma:
    """A bounded martingale, for which the inequality holds, and the score, for which it does not."""
    generator, diffusion = torch.Generator().manual_seed(seed), pair(1, 4.0, 0.1)
    x_t = torch.zeros(groups * group, 1, dtype=torch.float64)
    x_s = diffusion.reverse_kernel(x_t, S, T).sample(generator)[0]
    (p_t, p_s), (m_t, m_s) = (
        [process(x, t)[:, 0] for x, t in ((x_t, T), (x_s, S))]
        for process in (
            lambda x, t: diffusion.marginal(t).responsibilities(x),
            diffusion.martingale,
        )
    )
    eps = torch.linspace(0.04, 0.8, 39, dtype=torch.float64)

    def means(change: Tensor) -> Frequencies:
        return frequencies(change.reshape(groups, group).mean(1).abs(), eps[2::3])

    bound = [azuma_hoeffding(e, [1 / group] * group, ComponentProbability()) for e in eps.tolist()]
    score = (m_s - m_t) / (m_s - m_t).std()
    return Azuma(group, eps, _numbers(bound), means(p_s - p_t), means(score))


def stopping(seed: int, count: int = 4000, steps: int = 60) -> Stopping:
    """Six stopping times and two choices in hindsight, from one x_T in d = 8."""
    generator, diffusion = torch.Generator().manual_seed(seed), pair(8, 2.0, 1.0)
    law = diffusion.marginal(0.6)
    x_t = law.means[0] + 1.5 * (law.sample(generator)[0] - law.means[0])
    times = times_between(diffusion, 0.6, S, steps)
    paths = reverse_paths(diffusion, x_t.expand(count, 8), times, generator)
    start = paths.martingale[0, 0]
    chosen = {name: stopping_index(rule, paths) for name, rule in _rules(paths, seed).items()}
    radius = paths.x[steps // 2].norm(dim=-1).median().item()
    late = {"last exit": LastExit(radius)(paths), "largest $|M|$": largest_score(paths)}
    gains = torch.stack(
        [(stopped(paths, i) - start) @ start / start.norm() for i in (chosen | late).values()]
    )
    return Stopping(
        [*chosen, *late], [True] * len(chosen) + [False] * len(late),
        gains.mean(1), INTERVAL * gains.std(1) / count**0.5, count,
    )  # fmt: skip


def _rules(paths: Paths, seed: int) -> dict[str, Rule]:
    """Thresholds that some paths pass early, some late and some never."""
    radius, size = (x[0, 0].norm().item() for x in (paths.x, paths.martingale))
    low, high = paths.log_snr[[0, -1]].tolist()
    return {
        "exit of $|x|$": Exit(1.1 * radius),
        "mode commitment": Commitment(0.9),
        "large $|M|$": LargeScore(1.5 * size),
        "drawdown of $|M|$": Drawdown(0.8),
        "log-SNR level": SnrLevel((low + high) / 2),
        "random clock": RandomClock(2 / (high - low), seed),
    }
