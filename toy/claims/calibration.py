"""Calibration against planted error: what it removes exactly, and what ``calibrate`` recovers."""

from collections.abc import Callable

import torch
from scipy.stats import chi2
from scipy.stats import t as student
from torch import Tensor

from theory.calibration.procedure import calibrate
from theory.calibration.result import Calibration
from theory.diffusion.schedules import EDM, RectifiedFlow, VPLinear
from theory.diffusion.targets import DATA, EDM_RAW, FLOW, NOISE, SCORE, VELOCITY
from theory.estimators.control_variates import REGRESSION, Estimator, PlainAverage
from theory.forward.forward_pass import Observation
from theory.forward.keyed_noise import keyed_noise
from theory.statistics.moments import Moments
from theory.statistics.shrinkage import SHRUNK
from toy.judge.claim import ExactClaim, Mutant, StatisticalClaim, Trial
from toy.mixtures.diffusion import Diffusion, as_time
from toy.mixtures.mixture import GaussianMixture
from toy.mixtures.planted_error import Misfit, growing
from toy.numerics.quadrature import expectation
from toy.strategies import mixtures as strategies
from toy.strategies.extremes import ExtremeModelCase
from toy.strategies.mixtures import MisfitCase

Eta = Callable[[Misfit, float], Tensor]

LEVEL = 1e-8
"""Probability that one statistical claim is rejected though true."""


def eta_error(case: MisfitCase | ExtremeModelCase, eta: Eta = Misfit.eta) -> float:
    """eta = E[y_theta] - A E[x_0] by quadrature over q_t, against its closed form."""
    model, t = case.model(), case.times.t
    law = model.diffusion.marginal(t)
    a, _ = model.target.coefficients(model.diffusion.schedule, as_time(t))
    size = model.diffusion.target_size(model.target, t)
    integral = expectation(law, lambda x: model.at(x, t), scale=1 / model.frequency, size=size)
    by_quadrature = integral.value - a * model.diffusion.data.mean()
    return _relative(by_quadrature - eta(model, t), integral.magnitude + size)


def loss_fall_error(
    case: MisfitCase | ExtremeModelCase,
    fall: Callable[[Tensor, Tensor], Tensor] = lambda eta, c: 2 * c * eta - c**2,
) -> float:
    """E|y_theta - c - E[y|x_t]|^2 is E|y_theta - E[y|x_t]|^2 less 2 c.eta - |c|^2, for any c.

    Relative to E[y_theta^2 + c^2] and the square of what E[y|x_t] adds up.
    """
    model, t = case.model(), case.times.t
    c = torch.tensor([case.shift], dtype=torch.float64)
    added_up = model.diffusion.target_size(model.target, t) ** 2

    def losses(x: Tensor) -> Tensor:
        y, exact = model.at(x, t), model.exact(x, t)
        return torch.cat([(y - exact) ** 2, (y - c - exact) ** 2, y**2 + c**2 + added_up], 1)

    law, scale = model.diffusion.marginal(t), 1 / (2 * model.frequency)
    integral = expectation(law, losses, scale=scale)
    before, after, size = integral.value
    left = (before - after - fall(model.eta(t), c)).abs()
    return _relative(left + integral.errors[:2].sum(), size)


def _relative(difference: Tensor, scale: Tensor) -> float:
    return (difference.abs() / scale.clamp(min=1e-300)).max().item()


def _raw_mean(model: Misfit, t: float) -> Tensor:
    a, _ = model.target.coefficients(model.diffusion.schedule, as_time(t))
    return model.eta(t) + a * model.diffusion.data.mean()


DIMENSION, IMAGES = 64, 3000
TIMES = [0.1, 0.4, 0.7, 0.95]
MODELS = (
    (VPLinear(), NOISE),
    (VPLinear(), DATA),
    (VPLinear(), SCORE),
    (VPLinear(), VELOCITY),
    (RectifiedFlow(), FLOW),
    (EDM(), EDM_RAW),
)


def _planted(seed: int) -> list[tuple[Misfit, Tensor]]:
    """Models in 64 dimensions with a planted bias for each target, and images of their data."""
    generator = torch.Generator().manual_seed(seed)
    means = 2 * torch.randn(3, DIMENSION, generator=generator, dtype=torch.float64)
    data = GaussianMixture.diagonal(torch.tensor([0.5, 0.3, 0.2]), means, torch.tensor([0.5] * 3))
    bias = 0.3 * torch.randn(DIMENSION, generator=generator, dtype=torch.float64)
    images = data.sample(generator, IMAGES)
    return [
        (Misfit(Diffusion(data, schedule), target, growing(bias), slope=0.1), images)
        for schedule, target in MODELS
    ]


def _calibrations(seed: int, estimator: Estimator) -> list[tuple[Misfit, Calibration]]:
    return [
        (
            model,
            calibrate(
                model, model.diffusion.schedule, target=model.target, images=images,
                times=TIMES, estimator=estimator, policy=SHRUNK, seed=seed,
            ),
        )
        for model, images in _planted(seed)
    ]  # fmt: skip


def recovery(seed: int, estimator: Estimator = REGRESSION) -> Trial:
    """|shift - eta|^2 over the calibration's own error energy, at every time of every target.

    For a Gaussian error of any covariance with E|error|^2 = 1, P(|error|^2 > q) is at most the
    chi-squared(1) tail for large q (Szekely & Bakirov 2003); the union bound is over the times.
    """
    ratios = [
        (calibration.shift[k] - model.eta(t)).square().sum() / calibration.error_energy[k]
        for model, calibration in _calibrations(seed, estimator)
        for k, t in enumerate(TIMES)
    ]
    threshold = chi2.isf(LEVEL / len(ratios), 1)
    return Trial(max(ratios).item() / float(threshold), IMAGES)


def debiasing(seed: int, estimate: Callable[[Moments], float] | None = None) -> Trial:
    """The estimate of |eta|^2 has mean |eta|^2: Student's test over independent repetitions.

    The units are N(eta, I) in 64 dimensions, so the estimate's law is light-tailed and known.
    """
    estimate = estimate or (lambda moments: moments.squared_norm().value)
    eta = torch.full((DIMENSION,), 0.05, dtype=torch.float64)
    repetitions, n = 400, 40
    values = torch.zeros(repetitions, dtype=torch.float64)
    for r in range(repetitions):
        moments = Moments.empty((DIMENSION,), n)
        images = torch.arange(n)
        moments.add_(images, eta + keyed_noise(seed, "debiasing", 0, r, images, (DIMENSION,)))
        values[r] = estimate(moments)
    error = values.std() / repetitions**0.5
    deviation = (values.mean() - eta.square().sum()).abs() / error
    threshold = float(student.isf(LEVEL / 2, repetitions - 1))
    return Trial(deviation.item() / threshold, repetitions * n)


def _averaging(name: str, unit: Callable[[Observation], Tensor]) -> Estimator:
    return Estimator(name, lambda shape: PlainAverage(shape, unit))


_FORGOTTEN_DATA_MEAN = _averaging("raw", lambda seen: seen.prediction)
_DATA_SIGN = _averaging("sign", lambda seen: seen.residual + 2 * seen.a * seen.x_0)

CASES = strategies.misfit_cases()

CLAIMS = (
    ExactClaim(
        "eta", "4", "eta = E[y_theta] - A E[x_0], every target", CASES, eta_error,
        (
            Mutant("forgotten-data-mean", lambda c: eta_error(c, _raw_mean)),
            Mutant("eta-at-s", lambda c: eta_error(c, lambda model, t: model.eta(c.times.s))),
        ),
    ),
    ExactClaim(
        "loss-fall", "4", "the loss falls by 2 c.eta - |c|^2 for any shift c", CASES,
        loss_fall_error,
        (
            Mutant("half-the-fall", lambda c: loss_fall_error(c, lambda eta, c: c * eta - c**2 / 2)),
            Mutant("no-penalty", lambda c: loss_fall_error(c, lambda eta, c: 2 * c * eta)),
        ),
    ),
    StatisticalClaim(
        "recovery", "4", "calibrate recovers a planted eta within its stated error, d = 64",
        LEVEL, recovery,
        (
            Mutant("raw-average", lambda seed: recovery(seed, _FORGOTTEN_DATA_MEAN)),
            Mutant("data-sign", lambda seed: recovery(seed, _DATA_SIGN)),
        ),
    ),
    StatisticalClaim(
        "debiasing", "7", "the estimate of |eta|^2 is unbiased", LEVEL, debiasing,
        (Mutant("biased-square", lambda seed: debiasing(
            seed, lambda moments: moments.mean.square().sum().item())),),
    ),
)  # fmt: skip
