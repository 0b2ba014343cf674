"""Concentration: one Gaussian's exact tails against the bounds, and tail frequencies along paths.

A frequency refutes a bound when the lower limit of its exact binomial (Clopper-Pearson) interval
lies above the bound. The supremum over the grid of a path is at most that over the path, so that
the bounds hold for it too; a loose bound cannot be told from a tight one this way, which is what the
single Gaussian is for.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from scipy.stats import beta
from torch import Tensor

from theory.concentration import (
    COMPONENT,
    azuma_hoeffding,
    doob,
    quadratic_variation_tail,
    variance_proxy,
    ville,
)
from theory.gaussian import (
    absolute_moment,
    absolute_supremum_tail,
    clock,
    clock_between,
    log_supremum_tail,
    translation_tail,
)
from theory.schedules import RectifiedFlow, VPLinear
from toy import strategies
from toy.claims.base import ExactClaim, Mutant, StatisticalClaim, Trial
from toy.diffusion import Diffusion
from toy.mixture import GaussianMixture
from toy.quadrature import expectation
from toy.strategies import GaussianCase, TimePair
from toy.tower import log_translation

Process = Callable[[Diffusion, Tensor, float], Tensor]

LEVEL = 1e-8
ORDERS = (1.0, 2.0, 4.0)


def clock_error(
    case: GaussianCase,
    proxy: Callable[[GaussianCase], float] = lambda c: variance_proxy(
        c.times.schedule, c.variance, 0.0, c.times.s, c.times.t
    ),
) -> float:
    """The variance proxy at diameter 0 against Var(M_s|x_t), from the toy's own reverse kernel."""
    diffusion, s, t = case.diffusion, case.times.s, case.times.t
    kernel = diffusion.reverse_kernel(torch.zeros(1, dtype=torch.float64), s, t)
    slope = diffusion.scales(s)[0] / diffusion.marginal(s).variances
    exact = (slope**2 * kernel.variances).item()
    return abs(proxy(case) - exact) / exact


def tail_error(case: GaussianCase, scale: float = 1.0, reflection: float = 2.0) -> float:
    """P(sup(M_r - M_t) >= z sqrt(V)) lies between the bound and its known tightness.

    With V multiplied by ``scale`` in the bound. Mills' ratio gives exp(-z^2/2) <= P sqrt(2 pi)
    (z + sqrt(z^2 + 4))/4 (Birnbaum 1942), so that the bound is loose by no more than that factor.
    """
    variance, z = _clock_between(case), case.deviations
    eps = z * math.sqrt(variance)
    exact = log_supremum_tail(eps, variance) + math.log(reflection / 2)
    bound = math.log(quadratic_variation_tail(eps, scale * variance))
    looseness = math.log(math.sqrt(2 * math.pi) * (z + math.sqrt(z**2 + 4)) / 4)
    return max(exact - bound, bound - exact - looseness, 0.0)


def doob_error(
    case: GaussianCase,
    bound: Callable[[float, float, float], float] = doob,
    moment_at: Callable[[GaussianCase], float] = lambda c: c.times.s,
) -> float:
    """By how much P(sup|M_r| >= eps) exceeds Doob's bound, p = 1, 2 and 4, relative to the bound."""
    schedule, v, s, t = case.times.schedule, case.variance, case.times.s, case.times.t
    eps = case.deviations * math.sqrt(clock(schedule, v, s))
    exact = absolute_supremum_tail(eps, clock(schedule, v, t), _clock_between(case))
    variance = clock(schedule, v, moment_at(case))
    bounds = (bound(eps, absolute_moment(variance, p), p) for p in ORDERS)
    return max(0.0, *(exact / b - 1 for b in bounds))


def ville_error(case: GaussianCase, bound: Callable[[float], float] = ville) -> float:
    """By how much P(sup L_r(h)/L_t(h) >= b | x_t) exceeds 1/b, at b = exp(z) and h = z/sqrt(V)."""
    threshold, variance = math.exp(case.deviations), _clock_between(case)
    exact = translation_tail(threshold, case.deviations / math.sqrt(variance), variance)
    return max(0.0, exact / bound(threshold) - 1)


def _clock_between(case: GaussianCase) -> float:
    return clock_between(case.times.schedule, case.variance, case.times.s, case.times.t)


@dataclass(frozen=True)
class Tail:
    """How often an event was seen in n independent paths, and what bounds its probability."""

    seen: int
    n: int
    bound: float


def exceedance(tails: list[Tail]) -> Trial:
    """Largest lower confidence limit of a tail's probability, in units of its bound."""
    level = LEVEL / len(tails)
    limits = (
        float(beta.ppf(level, tail.seen, tail.n - tail.seen + 1)) / tail.bound
        for tail in tails
        if tail.seen > 0
    )
    return Trial(max(limits, default=0.0), min(tail.n for tail in tails))


PATHS, STEPS = 4000, 64
MANY_PATHS = 16000
"""Of one Gaussian, whose bound is the tightest: its tails far out tell the most."""

LOW_NOISE, HIGH_NOISE = 0.05, 1.0
DEVIATIONS = (1.0, 1.5, 2.0, 2.5, 3.0)


def _mixture(dimension: int, diameter: float, variance: float) -> Diffusion:
    """Two components on the diagonal; at diameter 0 one Gaussian."""
    half = torch.full((1, dimension), diameter / 2 / math.sqrt(dimension), dtype=torch.float64)
    data = GaussianMixture.diagonal(
        torch.tensor([0.6, 0.4]), torch.cat([half, -half]), torch.tensor([variance] * 2)
    )
    return Diffusion(data, VPLinear())


def _times(diffusion: Diffusion, v: float, ticks: Callable[[float], float]) -> list[float]:
    """From ``HIGH_NOISE`` down to ``LOW_NOISE``, evenly in ``ticks`` of the clock alpha^2/c."""
    fine = torch.linspace(HIGH_NOISE, LOW_NOISE, 4096, dtype=torch.float64)
    seen = torch.tensor([ticks(clock(diffusion.schedule, v, t)) for t in fine.tolist()])
    wanted = torch.linspace(seen[0].item(), seen[-1].item(), STEPS + 1)
    return fine[torch.searchsorted(seen, wanted).clamp(max=len(fine) - 1)].tolist()


def _along(
    diffusion: Diffusion,
    v: float,
    x: Tensor,
    generator: torch.Generator,
    process: Process,
    ticks: Callable[[float], float] = float,
) -> Tensor:
    """process(x_r, r) along exact reverse paths from x (n, d): (STEPS + 1, n, ...)."""
    times = _times(diffusion, v, ticks)
    path = diffusion.reverse_path(x, times, generator)
    return torch.stack([process(diffusion, x_r, r) for x_r, r in zip(path, times, strict=True)])


SHAPES = ((1, 0.0, 1.0, MANY_PATHS), (1, 3.0, 0.3, PATHS), (8, 2.0, 1.0, PATHS))
"""Dimension, diameter, variance and paths: one Gaussian, two far components, two close ones in d = 8."""


def quadratic_trial(seed: int, scale: float = 1.0) -> Trial:
    """sup u.(M_r - M_T) from a fixed x_T against exp(-eps^2/(2V)), V multiplied by ``scale``."""
    tails = []
    for proxy, supremum in _rises(seed):
        for eps in (z * math.sqrt(proxy) for z in DEVIATIONS):
            bound = quadratic_variation_tail(eps, scale * proxy)
            tails.append(Tail(int((supremum >= eps).sum()), len(supremum), bound))
    return exceedance(tails)


@lru_cache(maxsize=1)
def _rises(seed: int) -> tuple[tuple[float, Tensor], ...]:
    """For each shape V and the suprema (n,): a claim and its mutants judge the same paths."""
    generator, rises = torch.Generator().manual_seed(seed), []
    for dimension, diameter, v, paths in SHAPES:
        diffusion = _mixture(dimension, diameter, v)
        u = torch.full((dimension,), 1 / math.sqrt(dimension), dtype=torch.float64)
        x = diffusion.marginal(HIGH_NOISE).sample(generator)[0].expand(paths, dimension)
        m = _along(diffusion, v, x, generator, Diffusion.martingale) @ u
        proxy = variance_proxy(diffusion.schedule, v, diameter, LOW_NOISE, HIGH_NOISE)
        rises.append((proxy, (m - m[0]).amax(0)))
    return tuple(rises)


def doob_trial(
    seed: int,
    moment_time: float = LOW_NOISE,
    bound: Callable[[float, float, float], float] = doob,
) -> Trial:
    """sup |M_r| over paths from x_T ~ q_T against E|M_s|^p/eps^p by quadrature, p = 1, 2 and 4."""
    tails = []
    for diffusion, v, supremum in _suprema(seed):
        deviation = math.sqrt(clock(diffusion.schedule, v, LOW_NOISE))
        moments = _moments(diffusion, moment_time)
        for eps in (z * deviation for z in DEVIATIONS):
            seen = int((supremum >= eps).sum())
            tails += [Tail(seen, PATHS, bound(eps, moments[p], p)) for p in ORDERS]
    return exceedance(tails)


@lru_cache(maxsize=1)
def _suprema(seed: int) -> tuple[tuple[Diffusion, float, Tensor], ...]:
    """Two diffusions, the variance of their components, and the suprema of |M| (n,)."""
    generator, suprema = torch.Generator().manual_seed(seed), []
    for diameter, v in ((0.0, 10.0), (3.0, 3.0)):
        diffusion = _mixture(1, diameter, v)
        x = diffusion.marginal(HIGH_NOISE).sample(generator, PATHS)
        along = _along(diffusion, v, x, generator, Diffusion.martingale)
        suprema.append((diffusion, v, along.abs().amax((0, 2))))
    return tuple(suprema)


def _moments(diffusion: Diffusion, t: float) -> dict[float, float]:
    """Upper ends of E|M_t|^p: |M| has a corner at its zeros, which costs the quadrature digits."""

    def powers(x: Tensor) -> Tensor:
        return diffusion.martingale(x, t).abs() ** torch.tensor(ORDERS, dtype=torch.float64)

    integral = expectation(diffusion.marginal(t), powers, rtol=1e-4)
    return dict(zip(ORDERS, (integral.value + integral.error).tolist(), strict=True))


def ville_trial(seed: int, scaled: bool = True, sign: int = 1) -> Trial:
    """sup L_r(h) over paths from x_T ~ q_T against 1/b, and sup L_r(h)/L_T(h) from x_T = 0."""
    generator, tails = torch.Generator().manual_seed(seed), []
    for diameter in (0.0, 2.0):
        diffusion = _mixture(1, diameter, 1.0)
        anywhere = diffusion.marginal(HIGH_NOISE).sample(generator, PATHS)
        for given, x, h in ((False, anywhere, 2.45), (True, 0 * anywhere, 4.0)):
            log_ratio = _log_translation_of(h, scaled, sign)
            path = _along(diffusion, 1.0, x, generator, log_ratio, math.log)
            supremum = (path - path[0] if given else path).amax(0)
            for threshold in (3.0, 10.0, 20.0, 50.0):
                seen = int((supremum >= math.log(threshold)).sum())
                tails.append(Tail(seen, PATHS, ville(threshold)))
    return exceedance(tails)


def _log_translation_of(h: float, scaled: bool, sign: int) -> Process:
    def log_ratio(diffusion: Diffusion, x: Tensor, r: float) -> Tensor:
        alpha = diffusion.scales(r)[0] if scaled else 1.0
        shift = torch.tensor([alpha * h], dtype=torch.float64)
        return sign * log_translation(diffusion.marginal(r), x, shift)

    return log_ratio


GROUPS, GROUP = 1000, 10


def azuma_trial(seed: int, width: float = 1.0, of_score: bool = False) -> Trial:
    """The mean over 10 paths of P(1|x_s) - P(1|x_T), from an x_T that leaves it open.

    ``of_score`` puts the score in its place, in units of its own deviation: as if it were bounded.
    """
    generator = torch.Generator().manual_seed(seed)
    diffusion = _mixture(1, 4.0, 0.1)
    x_t = torch.zeros(GROUPS * GROUP, 1, dtype=torch.float64)
    start = diffusion.marginal(HIGH_NOISE).responsibilities(x_t)[0, 0]
    x_s = diffusion.reverse_kernel(x_t, LOW_NOISE, HIGH_NOISE).sample(generator)[0]
    change = diffusion.marginal(LOW_NOISE).responsibilities(x_s)[:, 0] - start
    if of_score:
        m_s, m_t = (diffusion.martingale(x, r) for x, r in ((x_s, LOW_NOISE), (x_t, HIGH_NOISE)))
        change = (m_s - m_t)[:, 0] / (m_s - m_t).std()
    means = change.reshape(GROUPS, GROUP).mean(1).abs()
    widths = [width / GROUP] * GROUP
    return exceedance(
        [
            Tail(int((means >= eps).sum()), GROUPS, azuma_hoeffding(eps, widths, COMPONENT))
            for eps in (0.2, 0.3, 0.4, 0.6, 0.8)
        ]
    )


def _without_power(eps: float, moment: float, p: float) -> float:
    return doob(eps, moment, 1.0)


GAUSSIANS = strategies.gaussian_cases()
FAR_DOWN = GaussianCase(TimePair(RectifiedFlow(), 0.05, 0.95), variance=100.0, deviations=1.0)
"""Wide data, hence small scores, from almost pure noise to almost none."""

CLAIMS = (
    ExactClaim(
        "gaussian-clock", "2", "V = alpha_s^2/c_s - alpha_t^2/c_t for one Gaussian", GAUSSIANS,
        clock_error,
        (
            Mutant("clock-from-zero", lambda c: clock_error(
                c, lambda c: clock(c.times.schedule, c.variance, c.times.s))),
            Mutant("noise-for-marginal-variance", lambda c: clock_error(
                c, lambda c: clock_between(c.times.schedule, 0.0, c.times.s, c.times.t))),
        ),
    ),
    ExactClaim(
        "gaussian-tail", "2", "exp(-eps^2/(2V)) bounds one Gaussian's tail, and how tightly",
        GAUSSIANS, tail_error,
        (
            Mutant("half-the-variance", lambda c: tail_error(c, scale=0.5)),
            Mutant("twice-the-variance", lambda c: tail_error(c, scale=2.0)),
            Mutant("no-reflection", lambda c: tail_error(c, reflection=1.0)),
        ),
    ),
    ExactClaim(
        "gaussian-doob", "2", "P(sup|M_r| >= eps) <= E|M_s|^p/eps^p, p = 1, 2, 4", GAUSSIANS,
        doob_error,
        (
            Mutant("doob-at-t", lambda c: doob_error(c, moment_at=lambda c: c.times.t)),
            Mutant("doob-without-power", lambda c: doob_error(c, _without_power)),
        ),
        always=(FAR_DOWN,),
    ),
    ExactClaim(
        "gaussian-ville", "9", "P(sup L_r(h) >= b L_t(h)) <= 1/b for one Gaussian", GAUSSIANS,
        ville_error,
        (Mutant("ville-squared", lambda c: ville_error(c, lambda b: ville(b**2))),),
    ),
    StatisticalClaim(
        "tails-variation", "2", "tails of u.(M_r - M_T) along paths, d = 1 and 8", LEVEL,
        quadratic_trial,
        (Mutant("tails-half-variance", lambda seed: quadratic_trial(seed, scale=0.5)),),
    ),
    StatisticalClaim(
        "tails-doob", "2", "tails of |M_r| along paths, p = 1, 2, 4", LEVEL, doob_trial,
        (
            Mutant("tails-moment-at-T", lambda seed: doob_trial(seed, moment_time=HIGH_NOISE)),
            Mutant("tails-without-power", lambda seed: doob_trial(seed, bound=_without_power)),
        ),
    ),
    StatisticalClaim(
        "tails-ville", "9", "P(sup L_r(h) >= b) <= 1/b along paths", LEVEL, ville_trial,
        (
            Mutant("tails-h-unscaled", lambda seed: ville_trial(seed, scaled=False)),
            Mutant("tails-ratio-inverted", lambda seed: ville_trial(seed, sign=-1)),
        ),
    ),
    StatisticalClaim(
        "tails-azuma", "2", "Azuma-Hoeffding for means of P(k|x_s)", LEVEL, azuma_trial,
        (
            Mutant("half-the-widths", lambda seed: azuma_trial(seed, width=0.5)),
            Mutant("azuma-for-score", lambda seed: azuma_trial(seed, of_score=True)),
        ),
    ),
)  # fmt: skip
