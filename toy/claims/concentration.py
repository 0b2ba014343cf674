"""Doob's and Ville's inequalities along exact reverse paths, in one and in eight dimensions.

In d dimensions |M| is the Euclidean norm, so that E|M_s|^2 = alpha_s^2 tr I_s. For two components
on the diagonal, of covariance v I, M_s is alpha score along the diagonal, which is a mixture on the
line, and independent of it N(0, alpha^2/c) in each of the d - 1 other directions:

    E|M_s|^p = sum_j (p/2 choose j) E m^(2j) E (alpha^2/c chi^2_{d-1})^(p/2 - j),    p even.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from theory.bounds.concentration import doob, ville
from theory.bounds.gaussian_tails import clock
from toy.claims.gaussian_tails import without_power
from toy.claims.tails import (
    DEVIATIONS,
    ERRS_LOW,
    HIGH_NOISE,
    LEVEL,
    LOW_NOISE,
    PATHS,
    Process,
    along,
    diagonal,
    exceedance,
    pair,
    tail,
    times_between,
)
from toy.judge.claim import Mutant, StatisticalClaim, Trial
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.tower import log_translation
from toy.numerics.quadrature import expectation

ORDERS = {1: (1, 2, 4), 8: (2, 4, 8)}
"""By dimension."""

FAR = {1: DEVIATIONS, 8: (0.8, 1.0, 1.2, 1.4, 1.7)}
"""By dimension: tails in units of sqrt(d alpha^2/c), the size of one Gaussian's |M_s|."""

PAIRS = ((0.0, 10.0), (3.0, 3.0))
"""Diameter and variance: one wide Gaussian, and two components."""

Bound = Callable[[float, float, float], float]
Moment = Callable[[int, float, float, int], float]


def doob_trial(
    dimension: int, seed: int, bound: Bound = doob, moment: Moment | None = None
) -> Trial:
    """sup |M_r| over paths from x_T ~ q_T against E|M_s|^p/eps^p."""
    tails = []
    for (diameter, v), supremum in zip(PAIRS, _suprema(dimension, seed), strict=True):
        size = math.sqrt(dimension * clock(pair(1, 0.0, v).schedule, v, LOW_NOISE))
        moments = {p: (moment or norm_moment)(dimension, diameter, v, p) for p in ORDERS[dimension]}
        for eps in (z * size for z in FAR[dimension]):
            tails += [
                tail(supremum, eps, bound(eps, value, float(p))) for p, value in moments.items()
            ]
    return exceedance(tails)


@lru_cache(maxsize=2)
def _suprema(dimension: int, seed: int) -> tuple[Tensor, ...]:
    """For each pair the suprema of |M| (n,): a claim and its mutants judge the same paths."""
    generator, suprema = torch.Generator().manual_seed(seed), []
    for diameter, v in PAIRS:
        diffusion = pair(dimension, diameter, v)
        x = diffusion.marginal(HIGH_NOISE).sample(generator, PATHS)
        times = times_between(diffusion, v)
        m = along(diffusion, x, times, Diffusion.martingale, generator)
        suprema.append(m.norm(dim=-1).amax(0))
    return tuple(suprema)


def norm_moment(
    dimension: int, diameter: float, v: float, p: int, time: float = LOW_NOISE
) -> float:
    """E|M|^p at a time, or its upper end: |m| has a corner at 0, which costs quadrature digits."""
    line = pair(1, diameter, v)
    powers = torch.arange(p % 2, p + 1, 2, dtype=torch.float64)
    integral = expectation(
        line.marginal(time), lambda x: line.martingale(x, time).abs() ** powers, rtol=1e-4
    )
    if dimension == 1:
        return integral.value[-1].item() + integral.error
    tau = clock(line.schedule, v, time)
    parts = (
        math.comb(p // 2, j) * along * _chi_square_moment(dimension - 1, p // 2 - j, tau)
        for j, along in enumerate((integral.value + integral.error).tolist())
    )
    return sum(parts)


def _chi_square_moment(k: int, power: int, tau: float) -> float:
    """E (tau chi^2_k)^power."""
    return math.prod((tau * (k + 2 * i) for i in range(power)), start=1.0)


def ville_trial(dimension: int, seed: int, scaled: bool = True, sign: int = 1) -> Trial:
    """sup L_r(h) over paths from x_T ~ q_T against 1/b, and sup L_r(h)/L_T(h) from x_T = 0."""
    generator, tails = torch.Generator().manual_seed(seed), []
    for diameter in (0.0, 2.0):
        diffusion = pair(dimension, diameter, 1.0)
        anywhere = diffusion.marginal(HIGH_NOISE).sample(generator, PATHS)
        times = times_between(diffusion, 1.0, ticks=math.log)
        for given, x, size in ((False, anywhere, 2.45), (True, 0 * anywhere, 4.0)):
            log_ratio = _log_translation_of(size * _oblique(dimension), scaled, sign)
            path = along(diffusion, x, times, log_ratio, generator)
            supremum = (path - path[0] if given else path).amax(0)
            tails += [tail(supremum, math.log(b), ville(b)) for b in (3.0, 10.0, 20.0, 50.0)]
    return exceedance(tails)


def _oblique(dimension: int) -> Tensor:
    """A unit vector half-way between the diagonal and the first axis: on the line, 1."""
    between = diagonal(dimension)
    between[0] += 1
    return between / between.norm()


def _log_translation_of(h: Tensor, scaled: bool, sign: int) -> Process:
    def log_ratio(diffusion: Diffusion, x: Tensor, r: float) -> Tensor:
        alpha = diffusion.scales(r)[0] if scaled else 1.0
        return sign * log_translation(diffusion.marginal(r), x, alpha * h)

    return log_ratio


def _moment_at_start(dimension: int, diameter: float, v: float, p: int) -> float:
    return norm_moment(dimension, diameter, v, p, HIGH_NOISE)


def _one_coordinate(dimension: int, diameter: float, v: float, p: int) -> float:
    """I_11 for tr I."""
    return norm_moment(1, diameter, v, p)


CLAIMS = (
    StatisticalClaim(
        "tails-doob", "2", f"tails of |M_r| along paths, p = 1, 2, 4 ({ERRS_LOW})", LEVEL,
        lambda seed: doob_trial(1, seed),
        (
            Mutant("tails-moment-at-T", lambda seed: doob_trial(1, seed, moment=_moment_at_start)),
            Mutant("tails-without-power", lambda seed: doob_trial(1, seed, bound=without_power)),
        ),
    ),
    StatisticalClaim(
        "tails-doob-8", "2", f"tails of |M_r|, E|M_s|^2 = a^2 tr I, d = 8 ({ERRS_LOW})", LEVEL,
        lambda seed: doob_trial(8, seed),
        (
            Mutant("tails-moment-at-T-8", lambda seed: doob_trial(8, seed, moment=_moment_at_start)),
            Mutant("one-coordinate", lambda seed: doob_trial(8, seed, moment=_one_coordinate)),
        ),
    ),
    StatisticalClaim(
        "tails-ville", "9", f"P(sup L_r(h) >= b) <= 1/b along paths ({ERRS_LOW})", LEVEL,
        lambda seed: ville_trial(1, seed),
        (
            Mutant("tails-h-unscaled", lambda seed: ville_trial(1, seed, scaled=False)),
            Mutant("tails-ratio-inverted", lambda seed: ville_trial(1, seed, sign=-1)),
        ),
    ),
    StatisticalClaim(
        "tails-ville-8", "9", f"the same for shifts h in d = 8 ({ERRS_LOW})", LEVEL,
        lambda seed: ville_trial(8, seed),
        (
            Mutant("tails-h-unscaled-8", lambda seed: ville_trial(8, seed, scaled=False)),
            Mutant("tails-ratio-inverted-8", lambda seed: ville_trial(8, seed, sign=-1)),
        ),
    ),
)  # fmt: skip
