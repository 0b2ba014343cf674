"""Estimators, intervals and certificates, where the truth is known.

Units are drawn as N(eta + linear parts, I), so that every law below is known. What must happen in at
most one repetition out of twenty is tested one repetition after the other.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial

import torch
from scipy.stats import t as student
from torch import Tensor

from theory.estimators.control_variates import REGRESSION
from theory.estimators.shift_selection import SelectedShift, select_shift
from theory.forward.forward_pass import GROUPS, Observation
from theory.forward.survey import MeanImage
from theory.statistics.intervals import LEVEL as CONFIDENCE
from theory.statistics.lower_bounds import lower_bounds
from theory.statistics.shrinkage import CERTIFIED, SHRUNK, UNSHRUNK, Policy
from toy.claims.repetitions import IMAGES, at_most, image_noise, moments, scaled
from toy.judge.claim import LEVEL, Trial, statistical_claim

DIMENSION, TIMES = 16, 5
REPETITIONS = 500
SIZE, ERROR = 0.05, 1 - CONFIDENCE
LOG_SNR = torch.linspace(-4, 4, TIMES, dtype=torch.float64)


def _draw(seed: int, purpose: str, repetition: int, time: int = 0) -> Tensor:
    return image_noise(seed, purpose, repetition, DIMENSION, time)


def coverage(seed: int, shorten: tuple[float, float] = (1.0, 1.0)) -> Trial:
    """How often the interval of |eta|^2 misses it: at most as often as it says."""
    eta = torch.full((DIMENSION,), 0.1, dtype=torch.float64)
    truth = eta.square().sum().item()

    def missed(repetition: int) -> bool:
        """Whether it does in this repetition."""
        found = moments(eta + _draw(seed, "coverage", repetition)).squared_norm()
        interval = scaled(found, shorten)
        return not interval.lower <= truth <= interval.upper

    return at_most(missed, ERROR)


def _plug_in(decision: SelectedShift) -> Tensor:
    return decision.weights * (2 - decision.weights) * decision.estimate.square().sum(1)


def _plug_in_of_the_last(decision: SelectedShift) -> Tensor:
    """The mistake at the last time alone."""
    return torch.cat([decision.certificates[:-1], _plug_in(decision)[-1:]])


def _without_noise(decision: SelectedShift) -> Tensor:
    return decision.weights * decision.estimate.square().sum(1)


def shift_certificates(
    seed: int,
    policy: Policy = SHRUNK,
    size: float = SIZE,
    bound: Callable[[SelectedShift], Tensor] = lambda shift: shift.certificates,
) -> Trial:
    """How often any certificate of a curve exceeds its gain: at most one time in twenty."""
    eta = size * _curve()

    def missed(repetition: int) -> bool:
        """Whether any does in this repetition."""
        decision = _decision(seed, repetition, policy, size)
        gains = (2 * decision.shift * eta - decision.shift**2).sum(1)
        return bool((bound(decision) > gains).any())

    return at_most(missed, ERROR)


def _of_one_statement(decision: SelectedShift) -> Tensor:
    return lower_bounds(decision.gains, 1)


def _variance_of_independent_gains(decision: SelectedShift) -> Tensor:
    mean = decision.gains.mean(0)
    return mean + (decision.certificates - mean) / math.sqrt(2)


def harmless(seed: int, policy: Policy = CERTIFIED) -> Trial:
    """How often a policy applies anything where there is nothing to gain."""
    return at_most(lambda r: bool((_decision(seed, r, policy).weights > 0).any()), ERROR)


def regression_bias(seed: int, shifted: Tensor | None = None) -> Trial:
    """Mean error of the regression estimator over repetitions, in each direction, by Student's test.

    The model is linear and square in the noise. The error is a mean over independent repetitions of
    a mean over images.
    """
    eta = torch.full((DIMENSION,), 0.1, dtype=torch.float64)
    mean_image = torch.zeros_like(eta) if shifted is None else shifted
    errors = torch.zeros(REPETITIONS, DIMENSION, dtype=torch.float64)
    for r in range(REPETITIONS):
        e, x_0 = _draw(seed, "e", r), _draw(seed, "x", r)
        prediction = eta + 0.5 * e + 0.3 * x_0 + 0.1 * (e**2 - 1) + 0.2 * _draw(seed, "own", r)
        group = torch.arange(IMAGES) % GROUPS
        seen = Observation(0, group, x_0, e[None], prediction[None], 0.0, 1.0, 0.0, 1.0)
        collector = REGRESSION.collector((DIMENSION,))
        collector.add_(seen)
        errors[r] = collector.moments(MeanImage(mean_image, 10**9)).mean - eta
    deviation = errors.mean(0).abs() / (errors.std(0) / REPETITIONS**0.5)
    threshold = float(student.isf(LEVEL / (2 * DIMENSION), REPETITIONS - 1))
    return Trial(deviation.max().item() / threshold, REPETITIONS * IMAGES)


def shrinking(seed: int, policy: Policy = SHRUNK) -> Trial:
    """How often James and Stein's estimate is no better than the raw mean, where eta = 0.

    It must be better in all but a few repetitions.
    """

    def lost(repetition: int) -> bool:
        """Whether it is in this repetition."""
        raw = torch.stack([unit.mean(0) for unit in _units(seed, repetition)])
        shift = _decision(seed, repetition, policy).shift
        return bool(shift.square().sum() >= raw.square().sum())

    return at_most(lost, ERROR)


def _curve() -> Tensor:
    """A shift over time whose largest entry is 1 in every direction, (T, d)."""
    return torch.outer(torch.cos(LOG_SNR / 3), torch.ones(DIMENSION, dtype=torch.float64))


def _units(seed: int, repetition: int, size: float = 0.0) -> list[Tensor]:
    """Units at every time, with ``size`` times the curve for their mean."""
    eta = size * _curve()
    return [eta[k] + _draw(seed, "curve", repetition, k) for k in range(TIMES)]


@lru_cache(maxsize=8000)
def _decision(seed: int, repetition: int, policy: Policy, size: float = 0.0) -> SelectedShift:
    """What would be applied in a repetition; kept, as claims and mutants share it."""
    found = [moments(unit) for unit in _units(seed, repetition, size)]
    return select_shift(found, LOG_SNR, torch.ones(TIMES, dtype=torch.float64), policy)


CLAIMS = (
    statistical_claim(
        "coverage", "7", "the interval of |eta|^2 covers it 95 times in 100", coverage,
        asymptotic=True, shorten={
            "half-the-interval": (0.5, 0.5), "lower-end-halved": (0.5, 1.0),
            "upper-end-halved": (1.0, 0.5),
        },
    ),
    statistical_claim(
        "regression", "7", "the regression estimator is unbiased", regression_bias,
        asymptotic=True, shifted={
            "wrong-mean-image": torch.full((DIMENSION,), 0.5, dtype=torch.float64),
            "last-pixel-too-dark": torch.cat([torch.zeros(DIMENSION - 1), torch.tensor([-0.5])]).double(),
        },
    ),
    statistical_claim(
        "shrinking", "7", "shrinking beats the raw mean where there is nothing", shrinking,
        asymptotic=True, policy={"whole-estimate": UNSHRUNK},
    ),
    statistical_claim(
        "certificate", "7", "certificates hold together 95 times in 100", shift_certificates,
        asymptotic=True, bound={
            "noise-as-gain": _plug_in, "no-penalty-for-noise": _without_noise,
            "noise-as-gain-of-the-last": _plug_in_of_the_last,
        },
    ),
    statistical_claim(
        "certificate-of-noise", "7", "certificates of pure noise hold together 95 times in 100",
        partial(shift_certificates, policy=UNSHRUNK, size=0.0),
        asymptotic=True, bound={
            "without-union-bound": _of_one_statement,
            "variance-not-doubled": _variance_of_independent_gains,
        },
    ),
    statistical_claim(
        "harmless", "7", "where there is nothing, nothing is applied 95 times in 100", harmless,
        asymptotic=True, policy={"uncertified": SHRUNK, "as-published": UNSHRUNK},
    ),
)  # fmt: skip
