"""Doob's and Ville's inequalities along exact reverse paths, in one and in eight dimensions.

In d dimensions |M| is the Euclidean norm, so that E|M_s|^2 = alpha_s^2 tr I_s. For two components
on the diagonal, of covariance v I, M_s is alpha score along the diagonal, which is a mixture on the
line, and independent of it N(0, alpha^2/c) in each of the d - 1 other directions:

    E|M_s|^p = sum_j (p/2 choose j) E m^(2j) E (alpha^2/c chi^2_{d-1})^(p/2 - j),    p even.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial

import torch
from torch import Tensor

from theory.bounds.concentration import doob, ville
from theory.bounds.gaussian_tails import clock
from toy.claims.gaussian_tails import without_power
from toy.claims.tail_frequencies import (
    DEVIATIONS,
    ERRS_LOW,
    HIGH_NOISE,
    LOW_NOISE,
    PATHS,
    clock_grid,
    exceedance,
)
from toy.judge.claim import Trial, statistical_claim
from toy.mixtures.density_derivatives import log_translation
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.reverse_paths import two_components, values_along_paths
from toy.numerics.quadrature import expectation

ORDERS = {1: (1, 2, 4), 8: (2, 4, 8)}
"""By dimension."""

EPS = {1: DEVIATIONS, 8: (0.8, 1.0, 1.2, 1.4, 1.7)}
"""By dimension: tails in units of sqrt(d alpha^2/c), the size of one Gaussian's |M_s|."""

PAIRS = ((0.0, 10.0), (3.0, 3.0))
"""Diameter and variance: one wide Gaussian, and two components."""


Moment = Callable[[int, float, float, int], float]
"""From the dimension, the diameter, the variance and p to E|M|^p."""


def doob_trial(
    seed: int,
    dimension: int,
    bound: Callable[[float, float, float], float] = doob,
    moment: Moment | None = None,
) -> Trial:
    """sup |M_r| over paths from x_T ~ q_T against E|M_s|^p/eps^p."""
    tails = []
    for (diameter, v), supremum in zip(PAIRS, _suprema(dimension, seed), strict=True):
        size = math.sqrt(dimension * clock(two_components(1, 0.0, v).schedule, v, LOW_NOISE))
        moments = {p: (moment or norm_moment)(dimension, diameter, v, p) for p in ORDERS[dimension]}
        for eps in (z * size for z in EPS[dimension]):
            tails += [(supremum, eps, bound(eps, value, float(p))) for p, value in moments.items()]
    return exceedance(tails)


@lru_cache(maxsize=2)
def _suprema(dimension: int, seed: int) -> tuple[Tensor, ...]:
    """For each of ``PAIRS`` the suprema of |M| (n,); kept, as a claim and its mutants share the paths."""
    generator, suprema = torch.Generator().manual_seed(seed), []
    for diameter, v in PAIRS:
        diffusion = two_components(dimension, diameter, v)
        x = diffusion.marginal(HIGH_NOISE).sample(generator, PATHS)
        times = clock_grid(diffusion, v)
        m = values_along_paths(diffusion, x, times, diffusion.martingale, generator)
        suprema.append(m.norm(dim=-1).amax(0))
    return tuple(suprema)


def norm_moment(
    dimension: int, diameter: float, v: float, p: int, time: float = LOW_NOISE
) -> float:
    """An upper end of E|M|^p: |m| has a corner at 0, which costs the quadrature digits.

    Args:
        dimension: d.
        diameter, v: of the two components.
        p: the power, even where d > 1.
        time: of M.
    """
    line = two_components(1, diameter, v)
    powers = torch.arange(p % 2, p + 1, 2, dtype=torch.float64)
    integral = expectation(
        line.marginal(time), lambda x: line.martingale(x, time).abs() ** powers, rtol=1e-4
    )
    if dimension == 1:
        return integral.value[-1].item() + integral.error
    tau = clock(line.schedule, v, time)
    parts = (
        math.comb(p // 2, j) * moment * _chi_square_moment(dimension - 1, p // 2 - j, tau)
        for j, moment in enumerate((integral.value + integral.error).tolist())
    )
    return sum(parts)


def _chi_square_moment(k: int, power: int, tau: float) -> float:
    """E (tau chi^2_k)^power."""
    return math.prod((tau * (k + 2 * i) for i in range(power)), start=1.0)


def ville_trial(seed: int, dimension: int, scaled: bool = True, sign: int = 1) -> Trial:
    """sup L_r(h) over paths from x_T ~ q_T against 1/b, and sup L_r(h)/L_T(h) from x_T = 0."""
    tails = []
    for diffusion, given, times, path in _ratio_paths(dimension, seed):
        h = (4.0 if given else 2.45) * _oblique(dimension)
        alphas = [diffusion.scales(r)[0] if scaled else 1.0 for r in times]
        log_ratios = sign * torch.stack(
            [
                log_translation(diffusion.marginal(r), x, alpha * h)
                for r, x, alpha in zip(times, path, alphas, strict=True)
            ]
        )
        supremum = (log_ratios - log_ratios[0] if given else log_ratios).amax(0)
        tails += [(supremum, math.log(b), ville(b)) for b in (3.0, 10.0, 20.0, 50.0)]
    return exceedance(tails)


@lru_cache(maxsize=1)
def _ratio_paths(dimension: int, seed: int) -> list[tuple[Diffusion, bool, list[float], Tensor]]:
    """Diffusions, whether paths start at 0, times, and paths (T, n, d).

    They are kept, as a claim and its mutants share them.
    """
    generator, found = torch.Generator().manual_seed(seed), []
    for diameter in (0.0, 2.0):
        diffusion = two_components(dimension, diameter, 1.0)
        anywhere = diffusion.marginal(HIGH_NOISE).sample(generator, PATHS)
        times = clock_grid(diffusion, 1.0, ticks=torch.log)
        for given, x in ((False, anywhere), (True, 0 * anywhere)):
            path = torch.stack(list(diffusion.reverse_path(x, times, generator)))
            found.append((diffusion, given, times, path))
    return found


def _oblique(dimension: int) -> Tensor:
    """A unit vector half-way between the diagonal and the first axis: on the line, 1."""
    between = torch.full((dimension,), 1 / math.sqrt(dimension), dtype=torch.float64)
    between[0] += 1
    return between / between.norm()


def _tail_of_the_end(eps: float, moment: float, p: float) -> float:
    """That of one Gaussian M_s by itself and half as much again, up to two deviations.

    Its supremum exceeds it, as it is nearly twice as often as large.
    """
    inside = p == 2 and eps < 2 * math.sqrt(moment)
    return 1.5 * math.erfc(eps / math.sqrt(2 * moment)) if inside else 1.0


def _moment_at_start(dimension: int, diameter: float, v: float, p: int) -> float:
    return norm_moment(dimension, diameter, v, p, HIGH_NOISE)


on_line, in_space = partial(doob_trial, dimension=1), partial(doob_trial, dimension=8)
on_line_ville, in_space_ville = partial(ville_trial, dimension=1), partial(ville_trial, dimension=8)

CLAIMS = (
    statistical_claim(
        "tails-doob", "2", f"tails of |M_r| along paths, p = 1, 2, 4 ({ERRS_LOW})", on_line,
        moment={"tails-moment-at-T": _moment_at_start},
        bound={"tails-without-power": without_power, "tail-of-the-end": _tail_of_the_end},
    ),
    statistical_claim(
        "tails-doob-8", "2", f"tails of |M_r|, E|M_s|^2 = a^2 tr I, d = 8 ({ERRS_LOW})", in_space,
        moment={
            "tails-moment-at-T-8": _moment_at_start,
            "one-coordinate": lambda d, *of: norm_moment(1, *of),  # I_11 for tr I
        },
    ),
    statistical_claim(
        "tails-ville", "9", f"P(sup L_r(h) >= b) <= 1/b along paths ({ERRS_LOW})", on_line_ville,
        scaled={"tails-h-unscaled": False}, sign={"tails-ratio-inverted": -1},
    ),
    statistical_claim(
        "tails-ville-8", "9", f"the same for shifts h in d = 8 ({ERRS_LOW})", in_space_ville,
        scaled={"tails-h-unscaled-8": False}, sign={"tails-ratio-inverted-8": -1},
    ),
)  # fmt: skip
