"""What a constant shift does to a field: it stays conservative, and tilts the density.

s = grad Phi gives s - eta = grad(Phi - eta.x), the score of p(x) exp(-eta.x)/Z where Z is finite.
A shift over time may be one function h of the log-SNR: see ``theory.estimators.amortized_basis``.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from theory.bounds.tilting import circle, require_normalizable, require_normalizable_along
from theory.diffusion.likelihood_bound import bound_weights
from theory.diffusion.targets import SCORE
from theory.estimators.amortized_basis import amortize, basis, bound_fall
from theory.support.errors import InputError
from toy.judge.claim import ExactClaim, Mutant
from toy.mixtures.diffusion import Diffusion
from toy.mixtures.mixture import GaussianMixture, tilted
from toy.mixtures.planted_error import Misfit
from toy.numerics.quadrature import expectation
from toy.strategies import models as model_strategies
from toy.strategies import plane as plane_strategies
from toy.strategies.models import AmortizedCase, FieldCase, TailCase, TiltCase
from toy.strategies.plane import PlaneTailCase, PlaneTiltCase

Shift = Callable[[FieldCase, Tensor], Tensor]


def constant_shift(case: FieldCase, x: Tensor) -> Tensor:
    """The same shift at every point."""
    return torch.tensor(case.shift, dtype=torch.float64)


def symmetry_error(case: FieldCase, shift: Shift = constant_shift) -> float:
    """Asymmetry of the calibrated score's Jacobian at a point, relative to its largest entry."""
    diffusion = Diffusion(case.components.mixture(), case.times.schedule)
    constant = torch.tensor(case.constant, dtype=torch.float64)
    model = Misfit(diffusion, SCORE, lambda t: constant, amplitude=case.amplitude)
    law = diffusion.marginal(case.times.t)
    deviation = torch.diagonal(law.covariances()[0]).sqrt()
    x = law.means[0] + torch.tensor(case.offset, dtype=torch.float64) * deviation
    jacobian = torch.autograd.functional.jacobian(
        lambda x: model.at(x, case.times.t) - shift(case, x), x
    )
    return ((jacobian - jacobian.T).abs().max() / (1 + jacobian.abs().max())).item()


Tilt = Callable[[GaussianMixture, Tensor], tuple[GaussianMixture, Tensor]]


def tilt_error(case: TiltCase, tilt: Tilt = tilted) -> float:
    """The tilted mixture's score is s - eta, its log density log p - eta.x - log Z; Z by quadrature."""
    law = case.components.mixture()
    eta = case.shift / law.variances.max().sqrt()[None]
    x = law.means[:1] + case.offset * law.variances[:1].sqrt()
    other, log_z = tilt(law, eta)
    integral = expectation(law, lambda x: torch.exp(-(x @ eta))[:, None])
    score, log_density = law.score(x), law.log_density(x)
    return max(
        _relative(other.score(x) - (score - eta), score.abs() + eta.abs() + 1),
        _relative(
            other.log_density(x) - (log_density - x @ eta - log_z), 1 + log_density.abs()
        ),
        _relative((torch.exp(log_z) - integral.value).abs() + integral.errors, integral.value),
    )  # fmt: skip


def plane_tilt_error(case: PlaneTiltCase, tilt: Tilt = tilted) -> float:
    """The same in the plane with full covariances, for a shift that is any vector."""
    law = case.components.mixture()
    eta = torch.tensor(case.shift, dtype=torch.float64) / law.variances.max().sqrt()
    x = law.means[0] + torch.tensor(case.offset, dtype=torch.float64) * law.variances[0].sqrt()
    other, log_z = tilt(law, eta)
    integral = expectation(law, lambda x: torch.exp(-(x @ eta))[:, None])
    score, log_density = law.score(x), law.log_density(x)
    return max(
        _relative(other.score(x) - (score - eta), score.norm() + eta.norm() + 1),
        _relative(
            other.log_density(x) - (log_density - x @ eta - log_z), 1 + log_density.abs()
        ),
        _relative((torch.exp(log_z) - integral.value).abs() + integral.errors, integral.value),
    )  # fmt: skip


Judge = Callable[[Callable[[float], float], float], None]


def tail_error(case: TailCase, judge: Judge = require_normalizable) -> float:
    """0 where an infinite Z is refused and a finite one is not, else 1.

    p(x) exp(-eta x) is integrable for Gaussian tails always, for Laplace's of scale b if
    |eta| b < 1, for Student's only if eta = 0.
    """
    b = case.parameter
    score, finite = {
        "gauss": (lambda x: -x / b**2, True),
        "laplace": (lambda x: -math.copysign(1 / b, x), abs(case.eta) * b < 1),
        "student": (lambda x: -(b + 1) * x / (b + x**2), case.eta == 0),
    }[case.kind]
    try:
        judge(score, case.eta)
    except InputError:
        return float(finite)
    return float(not finite)


PlaneJudge = Callable[[Callable[[Tensor], Tensor], Tensor], None]


def all_around(score: Callable[[Tensor], Tensor], eta: Tensor) -> None:
    """Along 360 directions and the shift's own."""
    require_normalizable_along(score, eta, circle(360))


def plane_tail_error(case: PlaneTailCase, judge: PlaneJudge = all_around) -> float:
    """0 where an infinite Z in the plane is refused and a finite one is not, else 1.

    p(x) exp(-eta.x) is integrable for Gaussian tails always; for exp(-|x|/b) if |eta| b < 1, for
    exp(-(|x_1| + |x_2|)/b), turned, if the larger entry of the turned eta is below 1/b; for Student's
    only if eta = 0.
    """
    b, angles = case.parameter, torch.tensor([case.turn, case.angle], dtype=torch.float64)
    (c, t), (s, u) = torch.cos(angles), torch.sin(angles)
    turn, along = torch.stack([torch.stack([c, -s]), torch.stack([s, c])]), torch.stack([t, u])
    edge = (along @ turn).abs().max() if case.kind == "square" else 1.0
    eta = case.strength / (b * edge) * along
    score, finite = {
        "gauss": (lambda x: -x / b**2, True),
        "round": (lambda x: -x / (b * x.norm(dim=1, keepdim=True)), case.strength < 1),
        "square": (lambda x: -torch.sign(x @ turn) @ turn.T / b, case.strength < 1),
        "student": (
            lambda x: -(b + 2) * x / (b + x.square().sum(1, keepdim=True)), case.strength == 0
        ),
    }[case.kind]  # fmt: skip
    try:
        judge(score, eta)
    except InputError:
        return float(finite)
    return float(not finite)


Fit = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def fit(eta: Tensor, weights: Tensor, log_snr: Tensor, degrees: Tensor) -> Tensor:
    """h by weighted least squares in Chebyshev polynomials of the log-SNR."""
    return amortize(eta, weights, basis(log_snr, len(degrees) - 1))


def amortized_error(case: AmortizedCase, fit: Fit = fit) -> float:
    """h lowers the bound by int |h|^2, no more than eta itself does; and it is eta in the basis."""
    times = case.times()
    log_snr, weights = case.schedule.log_snr(times), bound_weights(case.schedule, times)
    coefficients = torch.tensor(case.coefficients, dtype=torch.float64)
    polynomial = basis(log_snr, len(coefficients) - 1) @ coefficients
    eta = (polynomial + case.wave * torch.sin(3 * log_snr))[:, None]
    h = fit(eta, weights, log_snr, coefficients)
    fall, best = bound_fall(h, eta, weights), weights @ (eta**2)[:, 0]
    errors = [(fall - weights @ (h**2)[:, 0]).abs(), (fall - best).clamp(min=0)]
    if case.wave == 0:
        errors.append(weights @ ((h - eta) ** 2)[:, 0])
    return (max(errors) / (best + 1e-300)).item()


def _relative(difference: Tensor, scale: Tensor) -> float:
    return (difference.abs() / scale).max().item()


def _rotation(case: FieldCase, x: Tensor) -> Tensor:
    return torch.stack([-case.shift[0] * x[1], case.shift[0] * x[0]])


def _of_the_neighbour(case: FieldCase, x: Tensor) -> Tensor:
    return constant_shift(case, x) * torch.tanh(x.flip(0)) * torch.tensor([1.0, 0.0]).double()


def _opposite(law: GaussianMixture, eta: Tensor) -> tuple[GaussianMixture, Tensor]:
    return tilted(law, -eta)


def _weights_kept(law: GaussianMixture, eta: Tensor) -> tuple[GaussianMixture, Tensor]:
    other, log_z = tilted(law, eta)
    return GaussianMixture(law.log_weights, other.means, law.variances), log_z


def _unnormalized(law: GaussianMixture, eta: Tensor) -> tuple[GaussianMixture, Tensor]:
    other, log_z = tilted(law, eta)
    return other, 0 * log_z


def _axes_forgotten(law: GaussianMixture, eta: Tensor) -> tuple[GaussianMixture, Tensor]:
    """C eta with the covariances' eigenvectors forgotten."""
    _, log_z = tilted(law, eta)
    return replace(law, means=law.means - law.variances * eta), log_z


def _four_ways(score: Callable[[Tensor], Tensor], eta: Tensor) -> None:
    require_normalizable_along(score, 0 * eta, circle(4))


def _against_the_shift(score: Callable[[Tensor], Tensor], eta: Tensor) -> None:
    require_normalizable_along(score, eta, -eta[None] / eta.norm().clamp(min=1e-300))


def _trusting(score: Callable[[float], float], eta: float) -> None:
    """Refuses nothing."""


def _right_tail_only(score: Callable[[float], float], eta: float) -> None:
    if not 1e9 * (score(1e9) - eta) < -1:
        raise InputError("infinite")


def _unweighted(eta: Tensor, weights: Tensor, log_snr: Tensor, degrees: Tensor) -> Tensor:
    return fit(eta, torch.ones_like(weights), log_snr, degrees)


def _one_function_less(eta: Tensor, weights: Tensor, log_snr: Tensor, degrees: Tensor) -> Tensor:
    return fit(eta, weights, log_snr, degrees[:-1] if len(degrees) > 1 else degrees)


def _in_snr(eta: Tensor, weights: Tensor, log_snr: Tensor, degrees: Tensor) -> Tensor:
    return fit(eta, weights, torch.exp(log_snr / 2), degrees)


CLAIMS = (
    ExactClaim(
        "conservative", "4", "the calibrated score's Jacobian is symmetric, d = 2",
        model_strategies.field_cases(), symmetry_error,
        (
            Mutant("shift-turns", lambda c: symmetry_error(c, _rotation)),
            Mutant("shift-by-neighbour", lambda c: symmetry_error(c, _of_the_neighbour)),
        ),
    ),
    ExactClaim(
        "tilt", "4", "s - eta is the score of p exp(-eta.x)/Z", model_strategies.tilt_cases(),
        tilt_error,
        (
            Mutant("tilt-sign", lambda c: tilt_error(c, _opposite)),
            Mutant("tilt-keeps-weights", lambda c: tilt_error(c, _weights_kept)),
            Mutant("tilt-unnormalized", lambda c: tilt_error(c, _unnormalized)),
        ),
    ),
    ExactClaim(
        "tilt-refused", "4", "an infinite Z is refused, a finite one is not",
        model_strategies.tail_cases(), tail_error,
        (
            Mutant("trusts-any-tail", lambda c: tail_error(c, _trusting)),
            Mutant("right-tail-only", lambda c: tail_error(c, _right_tail_only)),
        ),
    ),
    ExactClaim(
        "tilt-2d", "4", "the same with full covariances and a vector eta",
        plane_strategies.plane_tilt_cases(), plane_tilt_error,
        (
            Mutant("tilt-sign-2d", lambda c: plane_tilt_error(c, _opposite)),
            Mutant("tilt-axes-forgotten", lambda c: plane_tilt_error(c, _axes_forgotten)),
        ),
        share=0.5,
    ),
    ExactClaim(
        "tilt-refused-2d", "4", "an infinite Z in the plane is refused, a finite one is not",
        plane_strategies.plane_tail_cases(), plane_tail_error,
        (
            Mutant("shift-not-asked", lambda c: plane_tail_error(c, _four_ways)),
            Mutant("against-the-shift-only", lambda c: plane_tail_error(c, _against_the_shift)),
        ),
    ),
    ExactClaim(
        "amortized", "4", "one function h lowers the bound by int |h|^2, at most as far as eta",
        model_strategies.amortized_cases(), amortized_error,
        (
            Mutant("fit-unweighted", lambda c: amortized_error(c, _unweighted)),
            Mutant("basis-too-small", lambda c: amortized_error(c, _one_function_less)),
            Mutant("fit-in-snr", lambda c: amortized_error(c, _in_snr)),
        ),
    ),
)  # fmt: skip
