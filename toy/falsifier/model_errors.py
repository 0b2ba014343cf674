"""Errors of a user's model, each of which is zero for an exact model.

The same sum is taken of the exact model, whose error must be negligible; else the quadrature or the
difference quotient is not accurate enough, and the case is left unresolved.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from theory.diffusion.targets import NOISE, SCORE, convert, shift_factor
from toy.falsifier.sweeps import stratified, usable
from toy.falsifier.user_models import Model
from toy.judge.claim import EXACT_TOLERANCE
from toy.mixtures.mixture import GaussianMixture, float64
from toy.mixtures.planted_error import PlantedErrorModel
from toy.numerics.quadrature import expectation, hermite
from toy.numerics.relative_errors import TINY
from toy.numerics.reported_errors import UnresolvedError
from toy.strategies.mixtures import Components
from toy.strategies.planted_errors import PlantedErrorCase
from toy.strategies.time_pairs import TimePair

ROUNDING = 1e-13
"""Relative rounding of the terms of a prediction."""

ULPS = 2.0**-46
"""Relative rounding of x_t."""

MOST = {1: 2**14, 2: 2**15, 3: 2**18}
"""Points of one sum at most, by dimension."""

NODES = 3
"""Gauss-Hermite nodes to an axis beyond three dimensions."""

CONTROL = EXACT_TOLERANCE / 10
"""How well a sum must come out for the exact model."""

WAVELESS = 1e-12
"""A frequency that is too low to refine any integral."""

NEGLIGIBLE = -600.0
"""Log density below which a prediction need not be finite: a score in linear space is 0/0 there."""

ROWS = 6
"""Parts of a schedule, from which the rows of a batch have their times."""

LENGTH = 2e-3
"""Step of a difference quotient in units of the least deviation."""


@dataclass(frozen=True)
class ModelPoint:
    """A model, two times s < t, and a point x_t (d,)."""

    model: Model
    s: float
    t: float
    x_t: Tensor


def prediction_error(point: ModelPoint) -> float:
    """|y_theta - E[y|x_t]| at the point: see ``prediction_errors``."""
    return prediction_errors(point.model, point.x_t[None], point.t).item()


def prediction_errors(model: Model, x_t: Tensor, t: float) -> Tensor:
    """|y_theta - E[y|x_t]| at points (n, d), converted to noise, relative to 1 + |E[e|x_t]|, (n,).

    The scale allows for rounding: of the terms of the prediction, and of E[e|x_t] as x_t moves by a
    few units in its last place.
    """
    diffusion, schedule, time = model.diffusion, model.diffusion.schedule, float64(t)
    alpha_t, sigma_t = diffusion.scales(t)
    a, b = model.target.coefficients(schedule, time)
    noise, data = diffusion.noise_prediction(x_t, t), diffusion.posterior_mean(x_t, t)
    factor = shift_factor(time, model.target, NOISE, schedule).abs()
    difference = factor * (model.at(x_t, t) - (a * data + b * noise)).abs()
    reach = x_t.abs() + alpha_t * diffusion.data.means.abs().max()
    moved = [diffusion.noise_prediction(x_t + sign * ULPS * reach, t) for sign in (-1, 1)]
    terms = reach / sigma_t + factor * ((a * data).abs() + (b * noise).abs())
    rounding = ROUNDING * terms + (moved[1] - moved[0]).abs()
    scale = 1 + noise.abs() + rounding / EXACT_TOLERANCE
    return (difference.amax(1) / scale.amax(1)).nan_to_num(nan=math.inf)


def error_among_others(model: Model) -> tuple[float, ModelPoint]:
    """How far a prediction depends on the other rows of its batch, and the point where it does most.

    Rows at several times, near and far from the data, against the same rows one by one; relative to
    1 + |y| of a row.
    """
    diffusion = model.diffusion
    points = [
        (t, x)
        for t in stratified(diffusion.schedule, 0, ROWS)
        if usable(diffusion.schedule, t)
        for x in _two_points(diffusion.marginal(t))
    ]
    alone = torch.cat([model.at(x[None], t) for t, x in points])
    times = float64([t for t, _ in points])
    together = model.rows(torch.stack([x for _, x in points]), times)
    apart = torch.where(together == alone, 0.0, (together - alone).abs())  # infinite ones, too
    off = apart.amax(1) / (1 + alone.nan_to_num(posinf=0.0, neginf=0.0).abs().amax(1))
    both_nan = (together.isnan() & alone.isnan()).any(1)
    off = torch.where(both_nan, 0.0, off).nan_to_num(nan=math.inf)
    t, x = points[worst := int(off.argmax())]
    return off[worst].item(), ModelPoint(model, t, t, x)


def _two_points(law: GaussianMixture) -> Tensor:
    """Half a deviation and two from the first component, (2, d)."""
    steps = float64([[0.5], [-2.0]])
    return law.means[0] + steps * law.covariances()[0].diagonal().sqrt()


def model_mean_error(point: ModelPoint) -> float:
    """|E[y_theta] - A E[x_0]| under q_t, relative to E|y_theta| and to the size of E[y|x_t]."""
    model, t, diffusion = point.model, point.t, point.model.diffusion
    a, _ = model.target.coefficients(diffusion.schedule, float64(t))
    mean, exact = a * diffusion.data.mean(), _exact(model)
    size = diffusion.target_size(model.target, t)
    return _sum_error(
        diffusion.marginal(t), lambda x: model.at(x, t), lambda x: exact.at(x, t), mean, mean, size
    )


def model_martingale_error(point: ModelPoint) -> float:
    """|E[M_s(x_s)|x_t] - M_t(x_t)| for the model's own score, relative to E[|M_s||x_t]."""
    model, (s, t), x_t = point.model, (point.s, point.t), point.x_t
    diffusion = model.diffusion
    (alpha_s, sigma_s), reach = diffusion.scales(s), diffusion.data.means.abs().max().item()
    return _sum_error(
        diffusion.reverse_kernel(x_t, s, t),
        lambda x: _scaled_score(model, x, s),
        lambda x: diffusion.martingale(x, s),
        _scaled_score(model, x_t[None], t)[0],
        diffusion.martingale(x_t, t),
        ROUNDING / EXACT_TOLERANCE * alpha_s**2 * reach / sigma_s**2,
    )


def _scaled_score(model: Model, x: Tensor, t: float) -> Tensor:
    schedule = model.diffusion.schedule
    score = convert(model.at(x, t), x, float64(t), model.target, SCORE, schedule)
    return model.diffusion.scales(t)[0] * score


def _exact(model: Model) -> PlantedErrorModel:
    return PlantedErrorModel(model.diffusion, model.target)


Values = Callable[[Tensor], Tensor]
"""From points (n, d) to values (n, d)."""


def _sum_error(
    law: GaussianMixture, of: Values, exact: Values, expected: Tensor, of_exact: Tensor, size: float
) -> float:
    """|E of(x) - expected| relative to E|of| and the size; infinite where a value is not finite.

    Beyond three dimensions only few nodes are affordable. The error of their sum for the exact model,
    whose mean is known, is subtracted: the result is right for an exact model, however few they are.

    Args:
        law: of x.
        of, exact: the model's values and those of the exact model.
        expected, of_exact: what their means should be, (d,).
        size: of the terms that they add up.

    Raises:
        UnresolvedError: the sums do not settle, or not to ``of_exact`` for ``exact``.
    """
    d, finite = law.dimension, [bool(expected.isfinite().all())]

    def both(x: Tensor) -> Tensor:
        """Both models' values, with zero where they are not finite."""
        values = torch.cat([of(x), exact(x)], 1)
        fine = values[:, :d].isfinite().all(1) | (law.log_density(x) < NEGLIGIBLE)
        finite.append(bool(fine.all()))
        return values.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)

    try:
        value, magnitude = _sums(law, both, size)
    except UnresolvedError:
        if all(finite):
            raise
    if not all(finite):
        return math.inf
    if d not in MOST:
        value = value - (value[d:] - of_exact).repeat(2)
    scale = (magnitude[:d].max() + size).clamp(min=TINY)
    if (value[d:] - of_exact).abs().max() > CONTROL * (magnitude[d:].max() + size):
        raise UnresolvedError("quadrature: wrong for the exact model")
    return ((value[:d] - expected).abs().max() / scale).item()


def _sums(law: GaussianMixture, of: Values, size: float) -> tuple[Tensor, Tensor]:
    """E of(x) and E|of(x)|."""
    if law.dimension in MOST:
        integral = expectation(law, of, size=size, most=MOST[law.dimension])
        return integral.value, integral.magnitude
    x, weights = hermite(law, NODES)
    values = of(x)
    return weights @ values, weights @ values.abs()


def conservative_error(point: ModelPoint) -> float:
    """Asymmetry of the Jacobian of the score, by difference quotients, relative to its largest entry.

    Raises:
        UnresolvedError: another step gives another Jacobian.
    """
    length = LENGTH * point.model.diffusion.marginal(point.t).variances.min().sqrt().item()
    coarse, fine = _jacobian(point, length), _jacobian(point, length / 2)
    size = fine.abs().max()
    if not (coarse - fine).abs().max() <= CONTROL * size:
        raise UnresolvedError("the score's Jacobian does not settle")
    return ((fine - fine.T).abs().max() / size.clamp(min=TINY)).item()


def _jacobian(point: ModelPoint, length: float) -> Tensor:
    """By central differences of the fourth order, (d, d)."""
    d = len(point.x_t)
    offsets = float64([1.0, -1.0, 2.0, -2.0]) * length
    weights = float64([8.0, -8.0, -1.0, 1.0]) / (12 * length)
    x = point.x_t + offsets[:, None, None] * torch.eye(d, dtype=torch.float64)
    values = _scaled_score(point.model, x.flatten(0, 1), point.t)
    return torch.einsum("k,kij->ij", weights, values.reshape(4, d, d))


@dataclass(frozen=True, kw_only=True)
class UserModelAsPlanted(PlantedErrorModel):
    """A user's model in place of one with planted error, of which it should have none."""

    user_model: Model

    def at(self, x_t: Tensor, t: float) -> Tensor:
        """The user's prediction, or the exact one where the density is negligible."""
        nothing = self.diffusion.marginal(t).log_density(x_t) < NEGLIGIBLE
        return torch.where(nothing[:, None], self.exact(x_t, t), self.user_model.at(x_t, t))


@dataclass(frozen=True, kw_only=True)
class UserModelCase(PlantedErrorCase):
    """A user's model as a case of the claims on planted errors."""

    user_model: Model

    def model(self) -> UserModelAsPlanted:
        """The model, whose best shift should be zero."""
        diffusion = self.user_model.diffusion
        return UserModelAsPlanted(
            diffusion, self.target, frequency=self.frequency, user_model=self.user_model
        )


def user_model_case(point: ModelPoint, shift: float) -> UserModelCase:
    """The model at the point's time, with a shift to try and no waves."""
    pair = TimePair(point.model.diffusion.schedule, point.s, point.t)
    return UserModelCase(
        Components((), (), (), ()), pair, point.model.target,
        constant=0.0, slope=0.0, amplitude=0.0, frequency=WAVELESS, shift=shift,
        user_model=point.model,
    )  # fmt: skip
