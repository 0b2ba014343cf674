"""Analytic-DPM's reverse variance against the exact one, E tr Var(x_s|x_t) / d, by quadrature.

Errors are relative to V/A^2, the size of the best variance where nothing is known of the noise.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from theory.diffusion.reverse_variance import optimal_variance
from theory.diffusion.schedules import Schedule
from toy.judge.claim import exact_claim
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, float64
from toy.numerics.quadrature import expectation
from toy.numerics.relative_errors import largest
from toy.strategies.mixtures import ReverseCase, reverse_cases


def variance_error(
    case: ReverseCase,
    formula: Callable[[Schedule, Tensor, Tensor, Tensor], Tensor] = optimal_variance,
) -> float:
    """The formula for the exact score's energy against the mean of the exact reverse kernel's variance."""
    energy, exact = _energy_and_variance(case)
    s, t, size = float64(case.times.s), float64(case.times.t), _size(case)
    return ((formula(case.times.schedule, s, t, energy) / size - exact).abs()).item()


def ddpm_bounds(diffusion: Diffusion, s: float, t: float) -> tuple[float, float]:
    """V sigma_s^2/sigma_t^2 for a point and V c_s/c_t for a Gaussian with the data's mean variance."""
    _, v = diffusion.transition(s, t)
    (a_s, s_s), (a_t, s_t) = diffusion.scales(s), diffusion.scales(t)
    of_data = _total_variance(diffusion.data).item() / diffusion.data.dimension
    c_s, c_t = a_s**2 * of_data + s_s**2, a_t**2 * of_data + s_t**2
    return v * s_s**2 / s_t**2, v * c_s / c_t


def variance_bounds_error(
    case: ReverseCase,
    bounds: Callable[[Diffusion, float, float], tuple[float, float]] = ddpm_bounds,
) -> float:
    """By how much the exact variance lies outside the bounds."""
    _, exact = _energy_and_variance(case)
    lower, upper = bounds(case.diffusion, case.times.s, case.times.t)
    size = _size(case)
    return largest([lower / size - exact, exact - upper / size, 0.0])


def _size(case: ReverseCase) -> float:
    a, v = case.diffusion.transition(case.times.s, case.times.t)
    return v / a**2


def _energy_and_variance(case: ReverseCase) -> tuple[Tensor, Tensor]:
    """E|E[e|x_t]|^2 / d, and E tr Var(x_s|x_t) / d in units of ``_size``."""
    diffusion, s, t, size = case.diffusion, case.times.s, case.times.t, _size(case)

    def terms(x: Tensor) -> Tensor:
        """Both integrands."""
        energy = diffusion.noise_prediction(x, t).square().mean(1)
        spread = _total_variance(diffusion.reverse_kernel(x, s, t)) / x.shape[1]
        return torch.stack([energy, spread / size], 1)

    energy, variance = expectation(diffusion.marginal(t), terms).value
    return energy, variance


def _total_variance(law: GaussianMixture) -> Tensor:
    """tr Var x, (*batch,)."""
    away = (law.means - law.mean()[..., None, :]).square().sum(-1)
    return (torch.exp(law.log_weights) * (away + law.variances.sum(-1))).sum(-1)


def _published(
    schedule: Schedule, s: Tensor, t: Tensor, energy: Tensor,
    *, weight: Tensor | None = None, deviation: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The formula with another kappa, or another sigma_t^2/alpha_t^2."""
    given = optimal_variance(schedule, s, t, torch.ones_like(energy))
    kappa = schedule.alpha(s) * -torch.expm1(schedule.log_snr(t) - schedule.log_snr(s))
    squared = (schedule.sigma(t) / schedule.alpha(t)) ** 2
    weight = kappa if weight is None else weight
    return given + weight**2 * (squared if deviation is None else deviation) * (1 - energy)


def _kappa_without_snr(schedule: Schedule, s: Tensor, t: Tensor, energy: Tensor) -> Tensor:
    return _published(schedule, s, t, energy, weight=schedule.alpha(s))


def _sigma_for_square(schedule: Schedule, s: Tensor, t: Tensor, energy: Tensor) -> Tensor:
    deviation = schedule.sigma(t) / schedule.alpha(t)
    return _published(schedule, s, t, energy, deviation=deviation)


def _kappa_at_t(schedule: Schedule, s: Tensor, t: Tensor, energy: Tensor) -> Tensor:
    kappa = schedule.alpha(t) * -torch.expm1(schedule.log_snr(t) - schedule.log_snr(s))
    return _published(schedule, s, t, energy, weight=kappa)


def _smaller_alone(schedule: Schedule, s: Tensor, t: Tensor, energy: Tensor) -> Tensor:
    return optimal_variance(schedule, s, t, torch.ones_like(energy))


def _beta_below(diffusion: Diffusion, s: float, t: float) -> tuple[float, float]:
    _, v = diffusion.transition(s, t)
    return v, ddpm_bounds(diffusion, s, t)[1]


def _narrowest(diffusion: Diffusion, s: float, t: float) -> tuple[float, float]:
    """The bounds for the narrowest component in place of all the data."""
    narrow = GaussianMixture.diagonal(
        torch.ones(1),
        torch.zeros(1, diffusion.data.dimension),
        diffusion.data.variances.min(0).values[None],
    )
    return ddpm_bounds(Diffusion(narrow, diffusion.schedule), s, t)


LINE = reverse_cases(1, reach=4.0, least=0.3)
PLANE = reverse_cases(2, reach=2.0, least=0.5, most=2.0)

CLAIMS = (
    exact_claim(
        "reverse-variance", "8", "Analytic-DPM's variance is E Var(x_s|x_t)", LINE, variance_error,
        formula={
            "kappa-without-snr": _kappa_without_snr, "kappa-at-t": _kappa_at_t,
            "sigma-for-its-square": _sigma_for_square, "smaller-variance-alone": _smaller_alone,
        },
    ),
    exact_claim(
        "reverse-variance-2d", "8", "in two dimensions, E tr Var(x_s|x_t) / d", PLANE,
        variance_error,
        formula={"sum-for-mean": lambda schedule, s, t, e: optimal_variance(schedule, s, t, 2 * e)},
        share=0.25,
    ),
    exact_claim(
        "variance-bounds", "8", "it is between DDPM's variances, of a point and a Gaussian", PLANE,
        variance_bounds_error,
        bounds={
            "beta-of-any-data": lambda of, s, t: (ddpm_bounds(of, s, t)[0], of.transition(s, t)[1]),
            "beta-below": _beta_below,
            "narrowest-component": _narrowest,
        },
        share=0.25,
    ),
)  # fmt: skip
