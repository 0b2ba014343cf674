"""Estimators, intervals and certificates, where the truth is known.

Units are drawn as N(eta + linear parts, I), so that every law below is known; the units of one
repetition are independent images. Frequencies over repetitions are held against exact binomial
limits at ``LEVEL``.
"""

from collections.abc import Callable
from functools import lru_cache

import torch
from scipy.stats import binom
from scipy.stats import t as student
from torch import Tensor

from theory.estimators.control_variates import REGRESSION
from theory.estimators.shift_selection import SelectedShift, select_shift
from theory.forward.forward_pass import GROUPS, Observation
from theory.forward.keyed_noise import keyed_noise
from theory.forward.survey import MeanImage
from theory.statistics.intervals import LEVEL as CONFIDENCE
from theory.statistics.moments import Moments
from theory.statistics.shrinkage import CERTIFIED, PUBLISHED, SHRUNK, Policy
from toy.judge.claim import Mutant, StatisticalClaim, Trial

LEVEL = 1e-8
DIMENSION, IMAGES, TIMES = 16, 96, 5
REPETITIONS, CURVES = 1000, 100
SIZE = 0.05
LOG_SNR = torch.linspace(-4, 4, TIMES, dtype=torch.float64)


def _draw(seed: int, purpose: str, repetition: int, time: int = 0) -> Tensor:
    return keyed_noise(seed, purpose, time, repetition, torch.arange(IMAGES), (DIMENSION,))


def _moments(units: Tensor) -> Moments:
    moments = Moments.empty((DIMENSION,), GROUPS)
    moments.add_(torch.arange(len(units)) % GROUPS, units)
    return moments


def coverage(seed: int, shorten: float = 1.0) -> Trial:
    """The interval of |eta|^2 covers it at least as often as it says, over repetitions."""
    eta = torch.full((DIMENSION,), 0.1, dtype=torch.float64)
    truth, missed = eta.square().sum().item(), 0
    for r in range(REPETITIONS):
        found = _moments(eta + _draw(seed, "coverage", r)).squared_norm()
        low = found.value + shorten * (found.lower - found.value)
        high = found.value + shorten * (found.upper - found.value)
        missed += not low <= truth <= high
    return _at_most(missed, REPETITIONS, 1 - CONFIDENCE)


def _certificates(decision: SelectedShift) -> Tensor:
    return decision.certificates


def _plug_in(decision: SelectedShift) -> Tensor:
    return decision.weights * (2 - decision.weights) * decision.estimate.square().sum(1)


def _without_noise(decision: SelectedShift) -> Tensor:
    return decision.weights * decision.estimate.square().sum(1)


def certificate(seed: int, bound: Callable[[SelectedShift], Tensor] = _certificates) -> Trial:
    """All certificates of a curve together are below the gains, but for one time in twenty."""
    eta = SIZE * _curve()
    missed = 0
    for decision in _decisions(seed, "certificate", SHRUNK, SIZE):
        shift = decision.weights[:, None] * decision.estimate
        gains = (2 * shift * eta - shift**2).sum(1)
        missed += bool((bound(decision) > gains).any())
    return _at_most(missed, CURVES, 1 - CONFIDENCE)


def harmless(seed: int, policy: Policy = CERTIFIED) -> Trial:
    """Where there is nothing to gain, the certified policy seldom applies anything."""
    decisions = _decisions(seed, "nothing", policy)
    harmed = sum(bool((decision.weights > 0).any()) for decision in decisions)
    return _at_most(harmed, CURVES, 1 - CONFIDENCE)


def regression(seed: int, shifted: float = 0.0) -> Trial:
    """The regression estimator is unbiased: its mean error over repetitions, in each direction.

    The model is linear and square in the noise; the limit is Student's, as the error is a mean over
    independent repetitions of a mean over images.
    """
    eta = torch.full((DIMENSION,), 0.1, dtype=torch.float64)
    mean_image = torch.full((DIMENSION,), shifted, dtype=torch.float64)
    repetitions = REPETITIONS // 2
    errors = torch.zeros(repetitions, DIMENSION, dtype=torch.float64)
    for r in range(repetitions):
        e, x_0 = _draw(seed, "e", r), _draw(seed, "x", r)
        prediction = eta + 0.5 * e + 0.3 * x_0 + 0.1 * (e**2 - 1) + 0.2 * _draw(seed, "own", r)
        group = torch.arange(IMAGES) % GROUPS
        seen = Observation(0, group, x_0, e[None], prediction[None], 0.0, 1.0, 0.0, 1.0)
        collector = REGRESSION.collector((DIMENSION,))
        collector.add_(seen)
        errors[r] = collector.moments(MeanImage(mean_image, 10**9)).mean - eta
    deviation = errors.mean(0).abs() / (errors.std(0) / repetitions**0.5)
    threshold = float(student.isf(LEVEL / (2 * DIMENSION), repetitions - 1))
    return Trial(deviation.max().item() / threshold, repetitions * IMAGES)


def shrinking(seed: int, policy: Policy = SHRUNK) -> Trial:
    """James and Stein: shrinking lowers the mean error; the number of wins against the raw mean.

    With nothing to find, the shrunk estimate is the better one in every repetition but a few.
    """
    lost = 0
    for r, decision in enumerate(_decisions(seed, "nothing", policy)):
        raw = torch.stack([unit.mean(0) for unit in _units(seed, "nothing", r)])
        shift = decision.weights[:, None] * decision.estimate
        lost += bool(shift.square().sum() >= raw.square().sum())
    return _at_most(lost, CURVES, 0.05)


def _curve() -> Tensor:
    """A shift over time, of one in every direction where it is largest."""
    return torch.outer(torch.cos(LOG_SNR / 3), torch.ones(DIMENSION, dtype=torch.float64))


def _units(seed: int, purpose: str, repetition: int, size: float = 0.0) -> list[Tensor]:
    """Units at every time around ``size`` times the curve."""
    eta = size * _curve()
    return [eta[k] + _draw(seed, purpose, repetition, k) for k in range(TIMES)]


@lru_cache(maxsize=4)
def _decisions(
    seed: int, purpose: str, policy: Policy, size: float = 0.0
) -> tuple[SelectedShift, ...]:
    """What is decided over the repetitions; a claim and its mutants judge the same ones."""
    return tuple(
        select_shift(
            [_moments(unit) for unit in _units(seed, purpose, r, size)],
            LOG_SNR, torch.ones(TIMES, dtype=torch.float64), policy,
        )
        for r in range(CURVES)
    )  # fmt: skip


def _at_most(count: int, repetitions: int, probability: float) -> Trial:
    """A frequency against the largest count that so small a probability allows at ``LEVEL``."""
    most = float(binom.isf(LEVEL, repetitions, probability))
    return Trial(count / most, repetitions)


CLAIMS = (
    StatisticalClaim(
        "coverage", "7", "the interval of |eta|^2 covers it 95 times in 100", LEVEL, coverage,
        (Mutant("half-the-interval", lambda seed: coverage(seed, shorten=0.5)),),
    ),
    StatisticalClaim(
        "regression", "7", "the regression estimator is unbiased", LEVEL, regression,
        (Mutant("wrong-mean-image", lambda seed: regression(seed, shifted=0.5)),),
    ),
    StatisticalClaim(
        "shrinking", "7", "shrinking beats the raw mean where there is nothing", LEVEL, shrinking,
        (Mutant("whole-estimate", lambda seed: shrinking(seed, PUBLISHED)),),
    ),
    StatisticalClaim(
        "certificate", "7", "certificates hold together 95 times in 100", LEVEL, certificate,
        (
            Mutant("noise-as-gain", lambda seed: certificate(seed, _plug_in)),
            Mutant("no-penalty-for-noise", lambda seed: certificate(seed, _without_noise)),
        ),
    ),
    StatisticalClaim(
        "harmless", "7", "where there is nothing, nothing is applied 95 times in 100", LEVEL,
        harmless,
        (
            Mutant("uncertified", lambda seed: harmless(seed, SHRUNK)),
            Mutant("as-published", lambda seed: harmless(seed, PUBLISHED)),
        ),
    ),
)  # fmt: skip
