"""Calibration of models with planted error: the best shift and its gain, and that ``calibrate`` finds it."""

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
from toy.judge.claim import LEVEL, Trial, exact_claim, statistical_claim
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.mixtures.planted_error import PlantedErrorModel, cosine_bias
from toy.numerics.quadrature import expectation
from toy.numerics.relative_errors import elementwise_error, largest
from toy.strategies.extremes import ExtremeModelCase
from toy.strategies.planted_errors import PLANE_ERROR_CASES, PLANTED_ERROR_CASES, PlantedErrorCase

Fall = Callable[[Tensor, Tensor], Tensor]
"""From the best shift and a shift c to the fall of the loss."""


def loss_fall(eta: Tensor, c: Tensor) -> Tensor:
    """2 c.eta - |c|^2."""
    return 2 * c * eta - c**2


def half_the_fall(eta: Tensor, c: Tensor) -> Tensor:
    """The mistake of half of ``loss_fall``."""
    return loss_fall(eta, c) / 2


def fall_without_penalty(eta: Tensor, c: Tensor) -> Tensor:
    """The mistake of ``loss_fall`` without |c|^2."""
    return 2 * c * eta


def eta_error(
    case: PlantedErrorCase | ExtremeModelCase,
    eta: Callable[[PlantedErrorModel, float], Tensor] = PlantedErrorModel.eta,
) -> float:
    """eta = E[y_theta] - A E[x_0] by quadrature over q_t, against its closed form."""
    model, t = case.model(), case.times.t
    law = model.diffusion.marginal(t)
    a, _ = model.target.coefficients(model.diffusion.schedule, float64(t))
    size = model.diffusion.target_size(model.target, t)
    integral = expectation(law, lambda x: model.at(x, t), scale=1 / model.frequency, size=size)
    by_quadrature = integral.value - a * model.diffusion.data.mean()
    return elementwise_error(by_quadrature - eta(model, t), integral.magnitude + size)


def loss_fall_error(case: PlantedErrorCase | ExtremeModelCase, fall: Fall = loss_fall) -> float:
    """E|y_theta - c - E[y|x_t]|^2 is E|y_theta - E[y|x_t]|^2 less 2 c.eta - |c|^2, for any c.

    Relative to E[y_theta^2 + c^2] and the square of the size of E[y|x_t].
    """
    model, t = case.model(), case.times.t
    c = float64([case.shift])
    added_up = model.diffusion.target_size(model.target, t) ** 2

    def losses(x: Tensor) -> Tensor:
        """The loss before and after the shift, and the size of its terms."""
        y, exact = model.at(x, t), model.exact(x, t)
        parts = [(y - exact) ** 2, (y - c - exact) ** 2, y**2 + c**2 + added_up]
        return torch.stack(parts, 1).sum(2)

    law, scale = model.diffusion.marginal(t), 1 / (2 * model.frequency)
    integral = expectation(law, losses, scale=scale)
    before, after, size = integral.value
    left = (before - after - fall(model.eta(t), c).sum()).abs()
    return elementwise_error(left + integral.errors[:2].sum(), size)


def _raw_mean(model: PlantedErrorModel, t: float) -> Tensor:
    a, _ = model.target.coefficients(model.diffusion.schedule, float64(t))
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


def _planted(seed: int) -> list[tuple[PlantedErrorModel, Tensor]]:
    """For each target a model in 64 dimensions with a planted bias, and images of its data.

    The last pixel has the mean 3, so that a mistake about it alone shows at every seed.
    """
    generator = torch.Generator().manual_seed(seed)
    means = 2 * torch.randn(3, DIMENSION, generator=generator, dtype=torch.float64)
    means[:, -1] = 3.0
    data = GaussianMixture.diagonal(torch.tensor([0.5, 0.3, 0.2]), means, torch.tensor([0.5] * 3))
    bias = 0.3 * torch.randn(DIMENSION, generator=generator, dtype=torch.float64)
    images = data.sample(generator, IMAGES)
    return [
        (PlantedErrorModel(Diffusion(data, schedule), target, cosine_bias(bias), slope=0.1), images)
        for schedule, target in MODELS
    ]


def _calibrations(seed: int, estimator: Estimator) -> list[tuple[PlantedErrorModel, Calibration]]:
    return [
        (
            model,
            calibrate(
                model, model.diffusion.schedule, target=model.target, images=images,
                times=TIMES, estimator=estimator, policy=SHRUNK, seed=seed,
                order=0,
            ),
        )
        for model, images in _planted(seed)
    ]  # fmt: skip


def recovery_trial(seed: int, estimator: Estimator = REGRESSION) -> Trial:
    """Largest |shift - eta|^2 over the calibration's own error energy, at any time of any target.

    For a Gaussian error of any covariance with E|error|^2 = 1, P(|error|^2 > q) is at most the
    chi-squared(1) tail for large q (Szekely & Bakirov 2003); the union bound is over the times.
    """
    ratios = [
        (calibration.shift[k] - model.eta(t)).square().sum() / calibration.error_energy[k]
        for model, calibration in _calibrations(seed, estimator)
        for k, t in enumerate(TIMES)
    ]
    threshold = chi2.isf(LEVEL / len(ratios), 1)
    return Trial(largest(ratios) / float(threshold), IMAGES)


def debiasing_trial(seed: int, estimate: Callable[[Moments], float] | None = None) -> Trial:
    """Student's test over independent repetitions that the estimate of |eta|^2 has mean |eta|^2.

    The units are N(eta, I) in 64 dimensions, so that the estimate's law is known and has light tails.
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


def _sign_of_the_last(seen: Observation) -> Tensor:
    """The data's sign wrong in the last pixel alone."""
    unit = seen.residual.clone()
    unit[..., -1] += 2 * seen.a * seen.x_0[..., -1]
    return unit


def _noise_off_twice(moments: Moments) -> float:
    """The mistake of taking the noise off an estimate that is free of it."""
    return 2 * moments.squared_norm().value - moments.mean.square().sum().item()


CLAIMS = (
    exact_claim(
        "eta", "4", "eta = E[y_theta] - A E[x_0], every target", PLANTED_ERROR_CASES, eta_error,
        eta={"forgotten-data-mean": _raw_mean},
        instead={"eta-at-s": lambda c: eta_error(c, lambda model, t: model.eta(c.times.s))},
    ),
    exact_claim(
        "loss-fall", "4", "the loss falls by 2 c.eta - |c|^2 for any shift c", PLANTED_ERROR_CASES,
        loss_fall_error, fall={"half-the-fall": half_the_fall, "no-penalty": fall_without_penalty},
    ),
    exact_claim(
        "eta-2d", "4", "eta with full covariances, every target", PLANE_ERROR_CASES, eta_error,
        eta={"forgotten-data-mean-2d": _raw_mean}, share=0.3,
    ),
    exact_claim(
        "loss-fall-2d", "4", "the fall of the loss is a sum over coordinates, full covariances",
        PLANE_ERROR_CASES, loss_fall_error,
        fall={"fall-of-one-coordinate": lambda eta, c: loss_fall(eta, c)[:1]}, share=0.3,
    ),
    statistical_claim(
        "recovery", "4", "calibrate recovers a planted eta within its stated error, d = 64",
        recovery_trial, asymptotic=True,
        estimator={
            "raw-average": _FORGOTTEN_DATA_MEAN, "data-sign": _DATA_SIGN,
            "data-sign-of-the-last": _averaging("last", _sign_of_the_last),
        },
    ),
    statistical_claim(
        "debiasing", "7", "the estimate of |eta|^2 is unbiased", debiasing_trial,
        asymptotic=True, estimate={
            "biased-square": lambda moments: moments.mean.square().sum().item(),
            "noise-off-twice": _noise_off_twice,
        },
    ),
)  # fmt: skip
