"""Estimators, intervals and certificates, where the truth is known.

Units are drawn as N(eta + linear parts, I), so that every law below is known. Frequencies over
repetitions are compared with exact binomial limits.
"""

from collections.abc import Callable
from functools import lru_cache

import torch
from scipy.stats import t as student
from torch import Tensor

from theory.estimators.control_variates import REGRESSION
from theory.estimators.shift_selection import SelectedShift, select_shift
from theory.forward.forward_pass import GROUPS, Observation
from theory.forward.survey import MeanImage
from theory.statistics.intervals import LEVEL as CONFIDENCE
from theory.statistics.shrinkage import CERTIFIED, SHRUNK, UNSHRUNK, Policy
from toy.claims.repetitions import IMAGES, at_most, image_noise, moments
from toy.judge.claim import LEVEL, Trial, statistical_claim

DIMENSION, TIMES = 16, 5
REPETITIONS, CURVES = 1000, 100
SIZE = 0.05
LOG_SNR = torch.linspace(-4, 4, TIMES, dtype=torch.float64)


def _draw(seed: int, purpose: str, repetition: int, time: int = 0) -> Tensor:
    return image_noise(seed, purpose, repetition, DIMENSION, time)


def coverage(seed: int, shorten: float = 1.0) -> Trial:
    """How often the interval of |eta|^2 misses it: at most as often as it says."""
    eta = torch.full((DIMENSION,), 0.1, dtype=torch.float64)
    truth, missed = eta.square().sum().item(), 0
    for r in range(REPETITIONS):
        found = moments(eta + _draw(seed, "coverage", r)).squared_norm()
        low = found.value + shorten * (found.lower - found.value)
        high = found.value + shorten * (found.upper - found.value)
        missed += not low <= truth <= high
    return at_most(missed, REPETITIONS, 1 - CONFIDENCE)


def _plug_in(decision: SelectedShift) -> Tensor:
    return decision.weights * (2 - decision.weights) * decision.estimate.square().sum(1)


def _without_noise(decision: SelectedShift) -> Tensor:
    return decision.weights * decision.estimate.square().sum(1)


def shift_certificates(
    seed: int, bound: Callable[[SelectedShift], Tensor] = lambda shift: shift.certificates
) -> Trial:
    """How often any certificate of a curve exceeds its gain: at most one time in twenty."""
    eta = SIZE * _curve()
    missed = 0
    for decision in _decisions(seed, "certificate", SHRUNK, SIZE):
        shift = decision.weights[:, None] * decision.estimate
        gains = (2 * shift * eta - shift**2).sum(1)
        missed += bool((bound(decision) > gains).any())
    return at_most(missed, CURVES, 1 - CONFIDENCE)


def harmless(seed: int, policy: Policy = CERTIFIED) -> Trial:
    """How often a policy applies anything where there is nothing to gain."""
    decisions = _decisions(seed, "nothing", policy)
    harmed = sum(bool((decision.weights > 0).any()) for decision in decisions)
    return at_most(harmed, CURVES, 1 - CONFIDENCE)


def regression_bias(seed: int, shifted: float = 0.0) -> Trial:
    """Mean error of the regression estimator over repetitions, in each direction, by Student's test.

    The model is linear and square in the noise. The error is a mean over independent repetitions of
    a mean over images.
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
    """How often James and Stein's estimate is no better than the raw mean, where eta = 0.

    It must be better in all but a few repetitions.
    """
    lost = 0
    for r, decision in enumerate(_decisions(seed, "nothing", policy)):
        raw = torch.stack([unit.mean(0) for unit in _units(seed, "nothing", r)])
        shift = decision.weights[:, None] * decision.estimate
        lost += bool(shift.square().sum() >= raw.square().sum())
    return at_most(lost, CURVES, 0.05)


def _curve() -> Tensor:
    """A shift over time whose largest entry is 1 in every direction, (T, d)."""
    return torch.outer(torch.cos(LOG_SNR / 3), torch.ones(DIMENSION, dtype=torch.float64))


def _units(seed: int, purpose: str, repetition: int, size: float = 0.0) -> list[Tensor]:
    """Units at every time, with ``size`` times the curve for their mean."""
    eta = size * _curve()
    return [eta[k] + _draw(seed, purpose, repetition, k) for k in range(TIMES)]


@lru_cache(maxsize=4)
def _decisions(
    seed: int, purpose: str, policy: Policy, size: float = 0.0
) -> tuple[SelectedShift, ...]:
    """The decision of every repetition; kept, as a claim and its mutants share them."""
    return tuple(
        select_shift(
            [moments(unit) for unit in _units(seed, purpose, r, size)],
            LOG_SNR, torch.ones(TIMES, dtype=torch.float64), policy,
        )
        for r in range(CURVES)
    )  # fmt: skip


CLAIMS = (
    statistical_claim(
        "coverage", "7", "the interval of |eta|^2 covers it 95 times in 100", coverage,
        shorten={"half-the-interval": 0.5},
    ),
    statistical_claim(
        "regression", "7", "the regression estimator is unbiased", regression_bias,
        shifted={"wrong-mean-image": 0.5},
    ),
    statistical_claim(
        "shrinking", "7", "shrinking beats the raw mean where there is nothing", shrinking,
        policy={"whole-estimate": UNSHRUNK},
    ),
    statistical_claim(
        "certificate", "7", "certificates hold together 95 times in 100", shift_certificates,
        bound={"noise-as-gain": _plug_in, "no-penalty-for-noise": _without_noise},
    ),
    statistical_claim(
        "harmless", "7", "where there is nothing, nothing is applied 95 times in 100", harmless,
        policy={"uncertified": SHRUNK, "as-published": UNSHRUNK},
    ),
)  # fmt: skip
