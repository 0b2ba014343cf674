"""Optional stopping along exact reverse paths, at a named level.

For every rule, time tau and unit vector u, u.(M_tau - M_T) is sub-Gaussian given x_T with the
variance proxy V of ``theory.concentration``, and u.M_T is so under q_T with proxy alpha^2/c: the
tests of E[M_tau | x_T] = M_T and of E M_tau = 0 need no asymptotics. The union bound is over rules,
directions, and the two ways to start.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from theory.concentration import marginal_proxy, mean_deviation, variance_proxy
from theory.schedules import VPLinear
from theory.stopping import (
    Commitment,
    Drawdown,
    Exit,
    Hindsight,
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
from toy.claims.base import Mutant, StatisticalClaim, Trial
from toy.diffusion import Diffusion
from toy.paths import on_a_sphere, reverse_paths

LEVEL = 1e-8
WEIGHTS, VARIANCE, DIAMETER = (0.6, 0.3, 0.1), 1.0, 2.0
START, END, STEPS = 0.5, 0.48, 25
OUTWARDS = 1.5
"""How many times farther from a mean than a typical point the given x_T lies."""

Choice = Callable[[Paths], Tensor]
"""From paths, the index at which each of them stops."""


def stopping_times(seed: int) -> Callable[[Paths], list[Rule]]:
    """Six rules, with thresholds near the middle of where the paths start: fixed given the starts."""

    def rules(paths: Paths) -> list[Rule]:
        radius, size = (x[0].norm(dim=-1).median().item() for x in (paths.x, paths.martingale))
        chosen = paths.components[0].amax(-1).median().item()
        low, high = paths.log_snr[[0, -1]].tolist()
        return [
            Exit(1.01 * radius),
            Commitment(1.03 * chosen),
            LargeScore(1.05 * size),
            Drawdown(0.97),
            SnrLevel((low + high) / 2),
            RandomClock(2 / (high - low), seed),
        ]

    return rules


def stopping_trial(
    dimension: int, count: int, seed: int, hindsight: Callable[[Paths], Hindsight] | None = None
) -> Trial:
    """Largest |mean of u.(M_tau - start)| over rules and directions, in units of its threshold.

    ``hindsight`` puts a choice that looks ahead in place of the rules.
    """
    generator = torch.Generator().manual_seed(seed)
    data = on_a_sphere(dimension, WEIGHTS, DIAMETER, VARIANCE, generator)
    diffusion = Diffusion(data, VPLinear())
    alpha_t, sigma_t = diffusion.scales(START)
    proxy = variance_proxy(diffusion.schedule, VARIANCE, DIAMETER, END, START)
    law = diffusion.marginal(START)
    x_t = law.means[0] + OUTWARDS * (law.sample(generator)[0] - law.means[0])
    starts = (
        (x_t.expand(count, dimension), proxy),
        (law.sample(generator, count), proxy + marginal_proxy(alpha_t, sigma_t, VARIANCE)),
    )
    times = torch.linspace(START, END, STEPS, dtype=torch.float64)
    worst = 0.0
    for given, (x, variance) in zip((True, False), starts, strict=True):
        paths = reverse_paths(diffusion, x, times, generator)
        expected = paths.martingale[0, 0] if given else torch.zeros_like(x[0])
        units = _units(diffusion, paths.martingale[0, 0], generator)
        choices = _choices(paths, seed, hindsight)
        threshold = mean_deviation(variance, count, LEVEL / (2 * len(choices) * len(units)))
        for index in choices:
            deviation = (stopped(paths, index).mean(0) - expected) @ units.T
            worst = max(worst, deviation.abs().max().item() / threshold)
    return Trial(worst, count)


def _choices(
    paths: Paths, seed: int, hindsight: Callable[[Paths], Hindsight] | None
) -> list[Tensor]:
    if hindsight is not None:
        return [hindsight(paths)(paths)]
    return [stopping_index(rule, paths) for rule in stopping_times(seed)(paths)]


def _units(diffusion: Diffusion, start: Tensor, generator: torch.Generator) -> Tensor:
    units = torch.randn(10, len(start), generator=generator, dtype=torch.float64)
    units = torch.cat([units, start[None], diffusion.data.means])
    return units / units.norm(dim=1, keepdim=True)


def _last_exit(paths: Paths) -> Hindsight:
    return LastExit(paths.x[len(paths.x) // 2].norm(dim=-1).median().item())


def _claim(dimension: int, count: int) -> StatisticalClaim:
    def trial(hindsight: Callable[[Paths], Hindsight] | None) -> Callable[[int], Trial]:
        return lambda seed: stopping_trial(dimension, count, seed, hindsight)

    return StatisticalClaim(
        f"stopping-{dimension}", "3",
        f"E[M_tau|x_T] = M_T and E M_tau = 0 for six stopping times, d = {dimension}",
        LEVEL, trial(None),
        (
            Mutant(f"largest-score-{dimension}", trial(lambda paths: largest_score)),
            Mutant(f"last-exit-{dimension}", trial(_last_exit)),
        ),
    )  # fmt: skip


CLAIMS = (_claim(1, 4000), _claim(8, 4000), _claim(64, 4000))
