"""Optional stopping along exact reverse paths, as a statistical test.

For every rule, time tau and unit vector u, u.(M_tau - M_T) is sub-Gaussian given x_T with the
variance proxy V of ``theory.bounds.concentration``, and u.M_T is so under q_T with proxy alpha^2/c.
So the tests of E[M_tau | x_T] = M_T and of E M_tau = 0 are exact for any number of paths. The union
bound is over rules, directions, and the two ways to start.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor

from theory.bounds.concentration import marginal_proxy, mean_deviation, variance_proxy
from theory.bounds.optional_stopping import (
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
    farthest_along_start,
    largest_score,
    last_beyond_start,
    stopped,
    stopping_index,
)
from theory.diffusion.schedules import RectifiedFlow, Schedule, VPLinear
from toy.judge.claim import LEVEL, StatisticalClaim, Trial, statistical_claim
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.reverse_paths import directions, mixture_on_sphere, reverse_paths

COUNT = 4000
OUTWARDS = 1.5
"""How many times farther from a mean than a typical point the given x_T lies."""


@dataclass(frozen=True)
class StoppingSetting:
    """Where paths run, and the thresholds of the rules that stop them.

    Attributes:
        schedule, weights, diameter, variance: of the diffusion and the data's components.
        start, end, steps: the interval and its grid.
        reach, size, share: thresholds of |x|, |M| and the drawdown, in units of their values at the
            start.
        chosen: threshold of the largest P(k|x_t), as a share of the way from the start to 1.
    """

    schedule: Schedule
    start: float
    end: float
    steps: int
    weights: tuple[float, ...]
    diameter: float
    variance: float
    reach: float
    chosen: float
    size: float
    share: float

    def proxy(self) -> float:
        """V from start to end."""
        return variance_proxy(self.schedule, self.variance, self.diameter, self.end, self.start)


SHORT = StoppingSetting(
    VPLinear(), 0.5, 0.48, 25, (0.6, 0.3, 0.1), 2.0, 1.0,
    reach=1.01, chosen=0.05, size=1.05, share=0.97,
)  # fmt: skip
LONG = StoppingSetting(
    RectifiedFlow(), 0.8, 0.2, 40, (0.4, 0.35, 0.15, 0.1), 3.0, 0.5,
    reach=1.1, chosen=0.5, size=1.5, share=0.7,
)  # fmt: skip
"""From a log-SNR of -2.8 to one of 2.8, during which the paths choose one of four components."""

WhichHindsight = Callable[[Paths], Hindsight]
"""From the paths to a choice that looks ahead, whose threshold may depend on them."""


def stopping_times(setting: StoppingSetting, seed: int) -> Callable[[Paths], list[Rule]]:
    """Six rules, with thresholds that depend on the paths through their starts only."""

    def rules(paths: Paths) -> list[Rule]:
        """The rules for these paths."""
        radius, size = (x[0].norm(dim=-1).median().item() for x in (paths.x, paths.martingale))
        chosen = paths.components[0].amax(-1).median().item()
        low, high = paths.log_snr[[0, -1]].tolist()
        return [
            Exit(setting.reach * radius),
            Commitment(chosen + setting.chosen * (1 - chosen)),
            LargeScore(setting.size * size),
            Drawdown(setting.share),
            SnrLevel((low + high) / 2),
            RandomClock(2 / (high - low), seed),
        ]

    return rules


def stopping_trial(
    seed: int, setting: StoppingSetting, dimension: int, hindsight: WhichHindsight | None = None
) -> Trial:
    """Largest |mean of u.(M_tau - start)| over rules and directions, in units of its threshold.

    Args:
        seed: of the data, the paths and the random clock.
        setting: the paths and rules.
        dimension: of the data.
        hindsight: the mistake of a choice that looks ahead, for the rules.
    """
    worst = 0.0
    for start in starts(setting, dimension, seed):
        choices = _choices(setting, start.paths, seed, hindsight)
        level = LEVEL / (2 * len(choices) * len(start.units))
        threshold = mean_deviation(start.proxy, COUNT, level)
        for index in choices:
            deviation = (stopped(start.paths, index).mean(0) - start.expected) @ start.units.T
            worst = max(worst, deviation.abs().max().item() / threshold)
    return Trial(worst, COUNT)


def probability_trial(seed: int, hindsight: WhichHindsight | None = None) -> Trial:
    """Largest |mean of P(k|x_tau) - P(k|x_T)| over rules and components, from one x_T, d = 8.

    A probability lies between 0 and 1, so that its variance proxy is 1/4 (Hoeffding).
    """
    paths = starts(LONG, 8, seed)[0].paths
    choices, each = _choices(LONG, paths, seed, hindsight), torch.arange(COUNT)
    threshold = mean_deviation(0.25, COUNT, LEVEL / (len(choices) * paths.components.shape[-1]))
    means = torch.stack([paths.components[index, each].mean(0) for index in choices])
    return Trial((means - paths.components[0, 0]).abs().max().item() / threshold, COUNT)


def _likeliest(paths: Paths) -> Hindsight:
    """The mistake of each path's time of the largest P(1|x_t)."""
    return lambda paths: paths.components[..., 0].argmax(0)


@dataclass(frozen=True)
class StartedPaths:
    """Paths from one way to start.

    Attributes:
        paths: the paths.
        expected: E M_tau, (d,).
        units: the directions u, (k, d).
        proxy: the variance proxy of u.(M_tau - expected).
    """

    paths: Paths
    expected: Tensor
    units: Tensor
    proxy: float


@lru_cache(maxsize=1)
def starts(
    setting: StoppingSetting, dimension: int, seed: int
) -> tuple[StartedPaths, StartedPaths]:
    """From one x_T, and from x_T ~ q_T; kept, as a claim and its mutants share the paths."""
    generator = torch.Generator().manual_seed(seed)
    data = mixture_on_sphere(
        dimension, setting.weights, setting.diameter, setting.variance, generator
    )
    diffusion = Diffusion(data, setting.schedule)
    law = diffusion.marginal(setting.start)
    outwards = law.sample(generator)[0] - law.means[0]
    x_t = law.means[0] + OUTWARDS * dimension**0.5 * outwards / outwards.norm()
    given = _paths(setting, diffusion, x_t.expand(COUNT, dimension), generator)
    units = directions(data, given.martingale[0, 0], 10, generator)
    drawn = _paths(setting, diffusion, law.sample(generator, COUNT), generator)
    at_start = marginal_proxy(*diffusion.scales(setting.start), setting.variance)
    return (
        StartedPaths(given, given.martingale[0, 0], units, setting.proxy()),
        StartedPaths(drawn, torch.zeros_like(x_t), units, setting.proxy() + at_start),
    )


def _paths(
    setting: StoppingSetting, diffusion: Diffusion, x: Tensor, generator: torch.Generator
) -> Paths:
    times = torch.linspace(setting.start, setting.end, setting.steps, dtype=torch.float64)
    return reverse_paths(diffusion, x, times, generator)


def _choices(
    setting: StoppingSetting, paths: Paths, seed: int, hindsight: WhichHindsight | None
) -> list[Tensor]:
    if hindsight is not None:
        return [hindsight(paths)(paths)]
    return [stopping_index(rule, paths) for rule in stopping_times(setting, seed)(paths)]


def _last_exit(paths: Paths) -> Hindsight:
    return LastExit(paths.x[len(paths.x) // 2].norm(dim=-1).median().item())


def _claim(
    name: str, says: str, setting: StoppingSetting, dimension: int, wrong: dict[str, WhichHindsight]
) -> StatisticalClaim:
    trial = partial(stopping_trial, setting=setting, dimension=dimension)
    return statistical_claim(
        f"stopping-{name}", "3",
        f"E[M_tau|x_T] = M_T and E M_tau = 0 for six stopping times, {says}", trial,
        hindsight={f"{mutant}-{name}": each for mutant, each in wrong.items()},
    )  # fmt: skip


NEAR: dict[str, WhichHindsight] = {
    "largest-score": lambda paths: largest_score,
    "last-exit": _last_exit,
}
FAR: dict[str, WhichHindsight] = {
    "farthest-along": lambda paths: farthest_along_start,
    "last-beyond": lambda paths: last_beyond_start,
}
"""Over a long way |M| is nearly always largest at the end, which is a stopping time after all."""

CLAIMS = (
    *(_claim(str(d), f"d = {d}", SHORT, d, NEAR) for d in (1, 8, 64)),
    _claim("long", "d = 8, a long way under rectified flow", LONG, 8, FAR),
    statistical_claim(
        "stopping-probability",
        "14",
        "E[P(k|x_tau)|x_T] = P(k|x_T) for six stopping times, d = 8",
        probability_trial,
        hindsight={"likeliest-time": _likeliest},
    ),
)
