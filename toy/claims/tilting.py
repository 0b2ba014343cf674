"""A constant shift leaves a score conservative, and tilts the density; shifts over time as a function.

s = grad Phi gives s - eta = grad(Phi - eta.x), the score of p(x) exp(-eta.x)/Z where Z is finite.
The shifts of all times may be one function h of the log-SNR (``theory.estimators.amortized_basis``),
which can be recorded while a network is trained (``theory.estimators.recorded_shift``).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from theory.bounds.tilting import circle, require_normalizable, require_normalizable_along
from theory.diffusion.likelihood_bound import bound_weights
from theory.diffusion.targets import SCORE
from theory.estimators.amortized_basis import amortize, basis, bound_fall
from theory.estimators.recorded_shift import ShiftRecorder
from theory.support.errors import InputError
from toy.judge.claim import exact_claim
from toy.mixtures.mixture import GaussianMixture, float64, tilted
from toy.mixtures.planted_error import PlantedErrorModel
from toy.numerics.quadrature import expectation
from toy.numerics.relative_errors import TINY, elementwise_error, largest, relative_error
from toy.strategies.mixtures import point_near, rotations
from toy.strategies.tilts import (
    AMORTIZED_CASES,
    LINE_TAIL_CASES,
    PLANE_SCORE_CASES,
    PLANE_TAIL_CASES,
    AmortizedCase,
    LineTailCase,
    PlaneScoreCase,
    PlaneTailCase,
    TiltCase,
    tilt_cases,
)


def constant_shift(case: PlaneScoreCase, x: Tensor) -> Tensor:
    """The same shift at every point."""
    return float64(case.shift)


def symmetry_error(
    case: PlaneScoreCase, shift: Callable[[PlaneScoreCase, Tensor], Tensor] = constant_shift
) -> float:
    """Asymmetry of the calibrated score's Jacobian at a point, relative to its largest entry.

    Beside it, how much the score turns on the average over a circle around the point, relative to
    its size there: the integral along a closed curve, which asks for no derivative.
    """
    diffusion, t = case.diffusion, case.times.t
    constant = float64(case.constant)
    model = PlantedErrorModel(diffusion, SCORE, lambda t: constant, amplitude=case.amplitude)
    x, radius = _circle_around(case)
    jacobian = torch.autograd.functional.jacobian(lambda x: model.at(x, t) - shift(case, x), x)
    asymmetry = (jacobian - jacobian.T).abs().max() / (1 + jacobian.abs().max())
    outward = circle(64)
    around = x + radius * outward
    shifts = torch.stack([shift(case, point) for point in around])
    field, along = model.at(around, t) - shifts, outward.flip(1) * float64([-1.0, 1.0])
    turning = (field * along).sum(1).mean().abs() / (1 + field.norm(dim=1).mean())
    return largest([asymmetry, turning])


def tilt_error(
    case: TiltCase,
    tilt: Callable[[GaussianMixture, Tensor], tuple[GaussianMixture, Tensor]] = tilted,
) -> float:
    """The tilted mixture's score is s - eta, its log density log p - eta.x - log Z; Z by quadrature."""
    law = case.components.mixture()
    eta = float64(case.shift) / law.variances.max().sqrt()
    x = point_near(law, 0, case.offset)
    other, log_z = tilt(law, eta)
    integral = expectation(law, lambda x: torch.exp(-(x @ eta))[:, None])
    score, log_density = law.score(x), law.log_density(x)
    tilted_density = log_density - x @ eta - log_z
    return largest(
        [
            elementwise_error(other.score(x) - (score - eta), score.norm() + eta.norm() + 1),
            elementwise_error(other.log_density(x) - tilted_density, 1 + log_density.abs()),
            elementwise_error(
                (torch.exp(log_z) - integral.value).abs() + integral.errors, integral.value
            ),
        ]
    )


def line_tail_error(
    case: LineTailCase,
    judge: Callable[[Callable[[float], float], float], None] = require_normalizable,
) -> float:
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
    return _refusal_error(partial(judge, score, case.eta), finite)


def all_around(score: Callable[[Tensor], Tensor], eta: Tensor) -> None:
    """Along 360 directions and the shift's own."""
    require_normalizable_along(score, eta, circle(360))


def plane_tail_error(
    case: PlaneTailCase, judge: Callable[[Callable[[Tensor], Tensor], Tensor], None] = all_around
) -> float:
    """0 where an infinite Z in the plane is refused and a finite one is not, else 1.

    p(x) exp(-eta.x) is integrable for Gaussian tails always; for exp(-|x|/b) if |eta| b < 1, for
    exp(-(|x_1| + |x_2|)/b), turned, if the larger entry of the turned eta is below 1/b; for Student's
    only if eta = 0.
    """
    b, (turn, direction) = case.parameter, rotations((case.turn, case.angle), 2)
    along = direction[:, 0]
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
    return _refusal_error(partial(judge, score, eta), finite)


def _refusal_error(judge: Callable[[], None], finite: bool) -> float:
    try:
        judge()
    except InputError:
        return float(finite)
    return float(not finite)


def fit_curve(eta: Tensor, weights: Tensor, log_snr: Tensor, degrees: Tensor) -> Tensor:
    """h by weighted least squares in Chebyshev polynomials of the log-SNR."""
    return amortize(eta, weights, basis(log_snr, len(degrees) - 1))


def amortized_error(
    case: AmortizedCase, fit: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] = fit_curve
) -> float:
    """h lowers the bound by int |h|^2; in the basis, h is eta."""
    times = case.times()
    log_snr, weights = case.schedule.log_snr(times), bound_weights(case.schedule, times)
    coefficients = float64(case.coefficients)
    polynomial = basis(log_snr, len(coefficients) - 1) @ coefficients
    eta = (polynomial + case.wave * torch.sin(3 * log_snr))[:, None]
    h = fit(eta, weights, log_snr, coefficients)
    errors = [(bound_fall(h, eta, weights) - weights @ (h**2)[:, 0]).abs()]
    if case.wave == 0:
        errors.append(weights @ ((h - eta) ** 2)[:, 0])
    return elementwise_error(torch.stack(errors).max(), weights @ (eta**2)[:, 0])


TRAINING_STEPS = 6


def kept_by_the_average(step: int) -> float:
    """What the moving average of the weights keeps of its past at a step: a share that rises."""
    return step / (step + 3)


def error_alone(eta: Tensor, log_snr: Tensor) -> Tensor:
    """What is recorded of a network whose mean prediction is its error plus the log-SNR."""
    return eta


def recorded_error(
    case: AmortizedCase,
    keep: Callable[[int], float] = kept_by_the_average,
    observed: Callable[[Tensor, Tensor], Tensor] = error_alone,
) -> float:
    """h recorded along a training of a network that is linear in its weights.

    It is the projection of the eta of the network with averaged weights, whatever the weights did.
    """
    log_snr = case.schedule.log_snr(case.times())
    coefficients = float64(case.coefficients)
    functions = basis(log_snr, len(coefficients) - 1)
    low, high = log_snr.min().item(), log_snr.max().item()
    recorder = ShiftRecorder(low, high, (1,), len(coefficients) - 1)
    wave, average = case.wave * torch.sin(3 * log_snr), torch.zeros_like(coefficients)
    for step in range(TRAINING_STEPS):
        weights = coefficients * math.cos(2 * step)
        average = torch.lerp(weights, average, kept_by_the_average(step))
        mean = observed(functions @ weights + wave, log_snr)
        both_signs_of_noise = torch.cat([mean + 1, mean - 1])[:, None]
        recorder.observe(log_snr.repeat(2), both_signs_of_noise, keep(step))
    eta = (functions @ average + wave)[:, None]
    h = amortize(eta, torch.ones_like(log_snr), functions)
    return relative_error(recorder.shift(log_snr) - h, 1 + h.abs())


def _rotation(case: PlaneScoreCase, x: Tensor) -> Tensor:
    return torch.stack([-case.shift[0] * x[1], case.shift[0] * x[0]])


def _circle_around(case: PlaneScoreCase) -> tuple[Tensor, float]:
    """The point, and a radius over which the score varies little."""
    law = case.diffusion.marginal(case.times.t)
    x = law.means[0] + float64(case.offset) * torch.diagonal(law.covariances()[0]).sqrt()
    return x, min(0.5, law.variances.min().sqrt().item() / 2)


def _vortex(case: PlaneScoreCase, x: Tensor) -> Tensor:
    """The mistake of a field that turns around a place beside the point; its Jacobian is symmetric."""
    point, radius = _circle_around(case)
    away = x - point - float64([radius / 2, 0.0])
    turned = float64([-1.0, 1.0]) * away.flip(0)
    return turned / away.square().sum().clamp(min=TINY)


def _of_the_neighbour(case: PlaneScoreCase, x: Tensor) -> Tensor:
    return constant_shift(case, x) * torch.tanh(x.flip(0)) * torch.tensor([1.0, 0.0]).double()


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


def _against_the_shift(score: Callable[[Tensor], Tensor], eta: Tensor) -> None:
    require_normalizable_along(score, eta, -eta[None] / eta.norm().clamp(min=TINY))


def _right_tail_only(score: Callable[[float], float], eta: float) -> None:
    if not 1e9 * (score(1e9) - eta) < -1:
        raise InputError("infinite")


CLAIMS = (
    exact_claim(
        "conservative", "4", "the calibrated score's Jacobian is symmetric, d = 2",
        PLANE_SCORE_CASES, symmetry_error,
        shift={"shift-turns": _rotation, "shift-by-neighbour": _of_the_neighbour, "vortex": _vortex},
    ),
    exact_claim(
        "tilt", "4", "s - eta is the score of p exp(-eta.x)/Z", tilt_cases(1, 1.0), tilt_error,
        tilt={
            "tilt-sign": lambda law, eta: tilted(law, -eta),
            "tilt-keeps-weights": _weights_kept, "tilt-unnormalized": _unnormalized,
        },
    ),
    exact_claim(
        "tilt-refused", "4", "an infinite Z is refused, a finite one is not", LINE_TAIL_CASES,
        line_tail_error,
        judge={"trusts-any-tail": lambda score, eta: None, "right-tail-only": _right_tail_only},
    ),
    exact_claim(
        "tilt-2d", "4", "the same with full covariances and a vector eta", tilt_cases(2, 0.7),
        tilt_error,
        tilt={
            "tilt-sign-2d": lambda law, eta: tilted(law, -eta),
            "tilt-axes-forgotten": _axes_forgotten,
        },
        share=0.5,
    ),
    exact_claim(
        "tilt-refused-2d", "4", "an infinite Z in the plane is refused, a finite one is not",
        PLANE_TAIL_CASES, plane_tail_error,
        judge={
            "shift-not-asked": lambda score, eta: require_normalizable_along(score, 0 * eta, circle(4)),
            "against-the-shift-only": _against_the_shift,
        },
    ),
    exact_claim(
        "amortized", "4", "one function h lowers the bound by int |h|^2; an eta of its basis it meets",
        AMORTIZED_CASES, amortized_error,
        fit={
            "fit-unweighted": lambda eta, w, *of: fit_curve(eta, torch.ones_like(w), *of),
            "basis-too-small": lambda eta, w, x, of: fit_curve(eta, w, x, of[: max(1, len(of) - 1)]),
            "fit-in-snr": lambda eta, w, x, degrees: fit_curve(eta, w, torch.exp(x / 2), degrees),
        },
    ),
    exact_claim(
        "recorded", "4", "h recorded while a linear network is trained is its averaged network's",
        AMORTIZED_CASES, recorded_error,
        keep={
            "nothing-forgotten": lambda step: step / (step + 1), "latest-alone": lambda step: 0.0,
        },
        observed={"prediction-recorded": lambda eta, log_snr: eta + log_snr},
    ),
)  # fmt: skip
