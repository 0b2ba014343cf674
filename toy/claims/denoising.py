"""The denoising loss E|y_theta - y|^2, which a network is trained on, and EDM's own output.

It exceeds the score-matching loss E|y_theta - E[y|x_t]|^2 by E Var(y|x_t), which depends on no model,
so that a shift lowers both by the same amount. It is integrated over x_t by quadrature, and over x_0
given x_t exactly (``toy.mixtures.planted_error``).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import DATA, Target, convert, edm_raw
from toy.claims.calibration import Fall, half_the_fall, loss_fall
from toy.judge.claim import exact_claim
from toy.mixtures.mixture import float64
from toy.mixtures.planted_error import PlantedErrorModel, Value, denoising_terms, known_target
from toy.numerics.quadrature import Integral, expectation
from toy.numerics.relative_errors import elementwise_error
from toy.strategies.planted_errors import (
    PLANTED_ERROR_CASES,
    PRECONDITION_CASES,
    PlantedErrorCase,
    PreconditionCase,
)


def denoising_fall_error(
    case: PlantedErrorCase, fall: Fall = loss_fall, value: Value = known_target
) -> float:
    """The denoising loss falls by 2 c.eta - |c|^2, for any c; relative to E[y_theta^2 + y^2 + c^2]."""
    model, t = case.model(), case.times.t
    c = float64([case.shift])

    def losses(y_theta: Tensor, y: Tensor) -> Tensor:
        """The loss before and after the shift, and the size of its terms."""
        r = y_theta - y
        return torch.stack([r**2, (r - c) ** 2, y_theta**2 + y**2 + c**2])

    integral = _over_marginal(case, lambda x: denoising_terms(model, t, x, losses, value))
    before, after, size = integral.value
    left = (before - after - fall(model.eta(t), c)).abs()
    return elementwise_error(left + integral.errors[:2].sum(), size)


def denoising_excess_error(case: PlantedErrorCase, value: Value = known_target) -> float:
    """The denoising loss less the score-matching loss is E Var(y|x_t), the same for every model.

    Var(y|x_t) is (det/sigma)^2 Var(x_0|x_t), det = alpha B - sigma A.
    """
    model, t = case.model(), case.times.t
    _, sigma_t = model.diffusion.scales(t)
    factor = model.target.determinant(model.diffusion.schedule, float64(t)) / sigma_t

    def losses(y_theta: Tensor, y: Tensor) -> Tensor:
        """The denoising loss, and the size of its terms."""
        return torch.stack([(y_theta - y) ** 2, y_theta**2 + y**2])

    def terms(x: Tensor) -> Tensor:
        """Both losses, with the size of the first, and Var(y|x_t)."""
        posterior = model.diffusion.posterior(x, t)
        weights, mean = torch.exp(posterior.log_weights), posterior.mean()
        spread = (posterior.means[..., 0] - mean) ** 2 + posterior.variances[:, 0]
        variance = (weights * spread).sum(1, keepdim=True)
        matching = (model.at(x, t) - model.exact(x, t)) ** 2
        both = denoising_terms(model, t, x, losses, value)
        return torch.cat([both, matching, factor**2 * variance], 1)

    integral = _over_marginal(case, terms)
    denoising, size, matching, variance = integral.value
    left = (denoising - matching - variance).abs()
    return elementwise_error(left + integral.errors[[0, 2, 3]].sum(), size)


def _over_marginal(case: PlantedErrorCase, h: Callable[[Tensor], Tensor]) -> Integral:
    law = case.model().diffusion.marginal(case.times.t)
    return expectation(law, h, scale=1 / (2 * case.frequency))


def preconditioned(x: Tensor, output: Tensor, ratio: Tensor, sigma_data: float) -> Tensor:
    """EDM's denoiser c_skip x + c_out F, for x = x_t/alpha and ratio = sigma/alpha."""
    c_skip = sigma_data**2 / (ratio**2 + sigma_data**2)
    c_out = ratio * sigma_data / torch.sqrt(ratio**2 + sigma_data**2)
    return c_skip * x + c_out * output


def precondition_error(
    case: PreconditionCase,
    denoiser: Callable[[Tensor, Tensor, Tensor, float], Tensor] = preconditioned,
    target: Callable[[float], Target] = edm_raw,
) -> float:
    """Converting F to data gives EDM's denoiser, at any output of the network."""
    schedule, t = case.times.schedule, float64(case.times.t)
    alpha_t, sigma_t = schedule.alpha(t), schedule.sigma(t)
    x_t, output = alpha_t * case.x, float64(case.output)
    got = convert(output, x_t, t, target(case.sigma_data), DATA, schedule)
    expected = denoiser(float64(case.x), output, sigma_t / alpha_t, case.sigma_data)
    size = abs(case.x) + case.sigma_data * output.abs()
    return elementwise_error(got - expected, size)


def _noise_only(model: PlantedErrorModel, t: float, x_0: Tensor, e: Tensor) -> Tensor:
    return known_target(model, t, 0 * x_0, e)


def _mean_kept(case: PlantedErrorCase) -> float:
    model, t = case.model(), case.times.t
    a, _ = model.target.coefficients(model.diffusion.schedule, float64(t))
    mean = a * model.diffusion.data.mean()
    return denoising_fall_error(case, lambda eta, c: 2 * c * (eta + mean) - c**2)


def _skip_of_ratio(x: Tensor, output: Tensor, ratio: Tensor, sigma_data: float) -> Tensor:
    c_skip = ratio**2 / (ratio**2 + sigma_data**2)
    return c_skip * x + preconditioned(0 * x, output, ratio, sigma_data)


def _sigma_for_ratio(sigma_data: float) -> Target:
    def coefficients(schedule: Schedule, t: Tensor) -> tuple[Tensor, Tensor]:
        """A and B with sigma_t for sigma_t/alpha_t."""
        sigma_t = schedule.sigma(t)
        norm = torch.sqrt(sigma_t**2 + sigma_data**2)
        return sigma_t / (sigma_data * norm), -sigma_data / norm

    return Target("edm-sigma", coefficients)


CLAIMS = (
    exact_claim(
        "edm-raw", "4", "EDM's raw output is one more target", PRECONDITION_CASES,
        precondition_error,
        denoiser={
            "skip-forgotten": lambda x, *of: preconditioned(0 * x, *of),
            "skip-of-noise": _skip_of_ratio,
        },
        target={"sigma-for-ratio": _sigma_for_ratio},
    ),
    exact_claim(
        "denoising-fall", "4", "the denoising loss falls by 2 c.eta - |c|^2 as well",
        PLANTED_ERROR_CASES, denoising_fall_error,
        fall={
            "denoising-half-fall": half_the_fall,
            "denoising-fall-off-by-a-hair": lambda eta, c: (1 + 1e-5) * loss_fall(eta, c),
        },
        instead={"denoising-raw-mean": _mean_kept}, value={"data-part-forgotten": _noise_only},
    ),
    exact_claim(
        "denoising-excess", "4", "denoising loss - score-matching loss = E Var(y|x_t)",
        PLANTED_ERROR_CASES, denoising_excess_error, value={"excess-of-noise-part": _noise_only},
    ),
)  # fmt: skip
