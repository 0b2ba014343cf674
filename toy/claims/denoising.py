"""The denoising loss E|y_theta - y|^2, which a network is trained on, and EDM's own output.

It exceeds the score-matching loss E|y_theta - E[y|x_t]|^2 by E Var(y|x_t), which no model changes;
so a shift takes the same off both. It is integrated over x_t, and over x_0 given x_t exactly: a
quadratic of a Gaussian needs two points, its mean plus and minus its deviation.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import DATA, Target, convert, edm_raw
from toy.judge.claim import ExactClaim, Mutant
from toy.mixtures.diffusion import as_time
from toy.mixtures.known_target import Value, denoising_terms, known_target
from toy.mixtures.planted_error import Misfit
from toy.numerics.quadrature import Integral, expectation
from toy.strategies import mixtures as strategies
from toy.strategies.mixtures import MisfitCase
from toy.strategies.models import PreconditionCase, precondition_cases


def denoising_fall_error(
    case: MisfitCase,
    fall: Callable[[Tensor, Tensor], Tensor] = lambda eta, c: 2 * c * eta - c**2,
    value: Value = known_target,
) -> float:
    """The denoising loss falls by 2 c.eta - |c|^2, for any c; relative to E[y_theta^2 + y^2 + c^2]."""
    model, t = case.model(), case.times.t
    c = torch.tensor([case.shift], dtype=torch.float64)

    def losses(y_theta: Tensor, y: Tensor) -> Tensor:
        r = y_theta - y
        return torch.stack([r**2, (r - c) ** 2, y_theta**2 + y**2 + c**2])

    integral = _over_marginal(case, lambda x: denoising_terms(model, t, x, losses, value))
    before, after, size = integral.value
    left = (before - after - fall(model.eta(t), c)).abs()
    return _relative(left + integral.errors[:2].sum(), size)


def excess_error(case: MisfitCase, value: Value = known_target) -> float:
    """The denoising loss less the score-matching loss is E Var(y|x_t), the same for every model.

    Var(y|x_t) is (det/sigma)^2 Var(x_0|x_t), det = alpha B - sigma A.
    """
    model, t = case.model(), case.times.t
    _, sigma_t = model.diffusion.scales(t)
    factor = model.target.determinant(model.diffusion.schedule, as_time(t)) / sigma_t

    def losses(y_theta: Tensor, y: Tensor) -> Tensor:
        return torch.stack([(y_theta - y) ** 2, y_theta**2 + y**2])

    def terms(x: Tensor) -> Tensor:
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
    return _relative(left + integral.errors[[0, 2, 3]].sum(), size)


def _over_marginal(case: MisfitCase, h: Callable[[Tensor], Tensor]) -> Integral:
    law = case.model().diffusion.marginal(case.times.t)
    return expectation(law, h, scale=1 / (2 * case.frequency))


Denoiser = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def preconditioned(x: Tensor, output: Tensor, ratio: Tensor, sigma_data: float) -> Tensor:
    """EDM's denoiser c_skip x + c_out F, for x = x_t/alpha and ratio = sigma/alpha."""
    c_skip = sigma_data**2 / (ratio**2 + sigma_data**2)
    c_out = ratio * sigma_data / torch.sqrt(ratio**2 + sigma_data**2)
    return c_skip * x + c_out * output


def precondition_error(
    case: PreconditionCase,
    denoiser: Denoiser = preconditioned,
    target: Callable[[float], Target] = edm_raw,
) -> float:
    """Converting F to data gives EDM's denoiser, at any output of the network."""
    schedule, t = case.times.schedule, as_time(case.times.t)
    alpha_t, sigma_t = schedule.alpha(t), schedule.sigma(t)
    x_t, output = alpha_t * case.x, as_time(case.output)
    got = convert(output, x_t, t, target(case.sigma_data), DATA, schedule)
    expected = denoiser(as_time(case.x), output, sigma_t / alpha_t, case.sigma_data)
    size = abs(case.x) + case.sigma_data * output.abs()
    return _relative(got - expected, size + 1e-300)


def _relative(difference: Tensor, scale: Tensor) -> float:
    return (difference.abs() / scale.clamp(min=1e-300)).max().item()


def _noise_only(model: Misfit, t: float, x_0: Tensor, e: Tensor) -> Tensor:
    return known_target(model, t, 0 * x_0, e)


def _mean_kept(case: MisfitCase) -> float:
    model, t = case.model(), case.times.t
    a, _ = model.target.coefficients(model.diffusion.schedule, as_time(t))
    mean = a * model.diffusion.data.mean()
    return denoising_fall_error(case, lambda eta, c: 2 * c * (eta + mean) - c**2)


def _without_skip(x: Tensor, output: Tensor, ratio: Tensor, sigma_data: float) -> Tensor:
    return preconditioned(0 * x, output, ratio, sigma_data)


def _skip_of_ratio(x: Tensor, output: Tensor, ratio: Tensor, sigma_data: float) -> Tensor:
    c_skip = ratio**2 / (ratio**2 + sigma_data**2)
    return c_skip * x + preconditioned(0 * x, output, ratio, sigma_data)


def _sigma_for_ratio(sigma_data: float) -> Target:
    def coefficients(schedule: Schedule, t: Tensor) -> tuple[Tensor, Tensor]:
        sigma_t = schedule.sigma(t)
        norm = torch.sqrt(sigma_t**2 + sigma_data**2)
        return sigma_t / (sigma_data * norm), -sigma_data / norm

    return Target("edm-sigma", coefficients)


CASES = strategies.misfit_cases()
PRECONDITIONS = precondition_cases()

CLAIMS = (
    ExactClaim(
        "edm-raw", "4", "EDM's raw output is one more target", PRECONDITIONS, precondition_error,
        (
            Mutant("skip-forgotten", lambda c: precondition_error(c, _without_skip)),
            Mutant("skip-of-noise", lambda c: precondition_error(c, _skip_of_ratio)),
            Mutant("sigma-for-ratio", lambda c: precondition_error(c, target=_sigma_for_ratio)),
        ),
    ),
    ExactClaim(
        "denoising-fall", "4", "the denoising loss falls by 2 c.eta - |c|^2 as well", CASES,
        denoising_fall_error,
        (
            Mutant("denoising-half-fall", lambda c: denoising_fall_error(
                c, lambda eta, c: c * eta - c**2 / 2)),
            Mutant("denoising-raw-mean", _mean_kept),
            Mutant("data-part-forgotten", lambda c: denoising_fall_error(c, value=_noise_only)),
        ),
    ),
    ExactClaim(
        "denoising-excess", "4", "denoising loss - score-matching loss = E Var(y|x_t)", CASES,
        excess_error,
        (Mutant("excess-of-noise-part", lambda c: excess_error(c, _noise_only)),),
    ),
)  # fmt: skip
