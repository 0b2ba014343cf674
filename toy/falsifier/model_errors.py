"""What holds of an exact model, as errors of a model that a user brings.

No error is told where the quadrature, or a difference quotient, does not bear it: the same sum is
taken of the exact model as well, which must come out right.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from theory.diffusion.targets import NOISE, SCORE, convert, shift_factor
from toy.falsifier.user_models import Model
from toy.judge.claim import EXACT_TOLERANCE
from toy.mixtures.diffusion import as_time
from toy.mixtures.mixture import GaussianMixture
from toy.mixtures.planted_error import Misfit
from toy.numerics.quadrature import UnresolvedError, expectation, hermite
from toy.strategies.mixtures import Components, MisfitCase, TimePair

ROUNDING = 1e-13
"""Share of what a prediction adds up that rounding may take of it."""

ULPS = 2.0**-46
"""By how much of its size rounding may move x_t."""

MOST = {1: 2**14, 2: 2**15, 3: 2**18}
"""Points of one sum at most, by dimension."""

NODES = 3
"""Gauss-Hermite nodes to an axis beyond three dimensions."""

CONTROL = EXACT_TOLERANCE / 10
"""How well a sum must come out for the exact model."""

WAVELESS = 1e-12
"""A frequency so low that no integral is refined for it."""

NEGLIGIBLE = -600.0
"""Log density below which a value need not be a number: that of a score in linear space is not."""

LENGTH = 2e-3
"""Length of a difference quotient in the least deviation."""


@dataclass(frozen=True)
class Probe:
    """A model, two times s < t, and a point x_t (d,)."""

    model: Model
    s: float
    t: float
    x_t: Tensor


def prediction_error(probe: Probe) -> float:
    """|y_theta - E[y|x_t]| at the point: see ``prediction_errors``."""
    return prediction_errors(probe.model, probe.x_t[None], probe.t).item()


def prediction_errors(model: Model, x_t: Tensor, t: float) -> Tensor:
    """|y_theta - E[y|x_t]| at points (n, d), in noise form, relative to 1 + |E[e|x_t]|, (n,).

    What rounding can do is taken for no error: a little of the terms that are added up, and what
    E[e|x_t] changes by as x_t is moved by a few units in its last place.
    """
    diffusion, schedule, time = model.diffusion, model.diffusion.schedule, as_time(t)
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


def mean_error(probe: Probe) -> float:
    """|E[y_theta] - A E[x_0]| relative to E|y_theta| and to what E[y|x_t] adds up, under q_t."""
    model, t, diffusion = probe.model, probe.t, probe.model.diffusion
    a, _ = model.target.coefficients(diffusion.schedule, as_time(t))
    mean, exact = a * diffusion.data.mean(), _exact(model)
    size = diffusion.target_size(model.target, t)
    return _sum_error(
        diffusion.marginal(t), lambda x: model.at(x, t), lambda x: exact.at(x, t), mean, mean, size
    )


def martingale_error(probe: Probe) -> float:
    """|E[M_s(x_s)|x_t] - M_t(x_t)| relative to E[|M_s||x_t], M of the model's own score."""
    model, (s, t), x_t = probe.model, (probe.s, probe.t), probe.x_t
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
    score = convert(model.at(x, t), x, as_time(t), model.target, SCORE, schedule)
    return model.diffusion.scales(t)[0] * score


def _exact(model: Model) -> Misfit:
    return Misfit(model.diffusion, model.target)


Of = Callable[[Tensor], Tensor]


def _sum_error(
    law: GaussianMixture, of: Of, exact: Of, expected: Tensor, of_exact: Tensor, size: float
) -> float:
    """|E of(x) - expected| relative to E|of| and the size, infinite where it is not a number.

    Beyond three dimensions E exact(x) = of_exact is taken for granted, and a sum over few nodes is
    that of the difference of the two: it is right for an exact model, however few they are.

    Raises:
        UnresolvedError: the sums do not settle, or not to of_exact for ``exact``.
    """
    d, finite = law.dimension, [bool(expected.isfinite().all())]

    def both(x: Tensor) -> Tensor:
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
    scale = (magnitude[:d].max() + size).clamp(min=1e-300)
    if (value[d:] - of_exact).abs().max() > CONTROL * (magnitude[d:].max() + size):
        raise UnresolvedError("quadrature: wrong for the exact model")
    return ((value[:d] - expected).abs().max() / scale).item()


def _sums(law: GaussianMixture, of: Of, size: float) -> tuple[Tensor, Tensor]:
    """E of(x) and E|of(x)|."""
    if law.dimension in MOST:
        integral = expectation(law, of, size=size, most=MOST[law.dimension])
        return integral.value, integral.magnitude
    x, weights = hermite(law, NODES)
    values = of(x)
    return weights @ values, weights @ values.abs()


def conservative_error(probe: Probe) -> float:
    """Asymmetry of the Jacobian of the score, by difference quotients, relative to its largest entry.

    Raises:
        UnresolvedError: two lengths give another Jacobian.
    """
    length = LENGTH * probe.model.diffusion.marginal(probe.t).variances.min().sqrt().item()
    coarse, fine = _jacobian(probe, length), _jacobian(probe, length / 2)
    size = fine.abs().max()
    if not (coarse - fine).abs().max() <= CONTROL * size:
        raise UnresolvedError("the score's Jacobian does not settle")
    return ((fine - fine.T).abs().max() / size.clamp(min=1e-300)).item()


def _jacobian(probe: Probe, length: float) -> Tensor:
    """By central differences of the fourth order, (d, d)."""
    d = len(probe.x_t)
    offsets = torch.tensor([1.0, -1.0, 2.0, -2.0], dtype=torch.float64) * length
    weights = torch.tensor([8.0, -8.0, -1.0, 1.0], dtype=torch.float64) / (12 * length)
    x = probe.x_t + offsets[:, None, None] * torch.eye(d, dtype=torch.float64)
    values = _scaled_score(probe.model, x.flatten(0, 1), probe.t)
    return torch.einsum("k,kij->ij", weights, values.reshape(4, d, d))


@dataclass(frozen=True, kw_only=True)
class HeldMisfit(Misfit):
    """A brought model in place of an exact one: it should have no planted error."""

    brought: Model

    def at(self, x_t: Tensor, t: float) -> Tensor:
        """The brought model's prediction, and the exact one where the density is negligible."""
        nothing = self.diffusion.marginal(t).log_density(x_t) < NEGLIGIBLE
        return torch.where(nothing[:, None], self.exact(x_t, t), self.brought.at(x_t, t))


@dataclass(frozen=True, kw_only=True)
class HeldCase(MisfitCase):
    """A brought model as the claims on ``toy.mixtures.planted_error`` take theirs."""

    brought: Model

    def model(self) -> HeldMisfit:
        """The model, whose best shift should be zero."""
        diffusion = self.brought.diffusion
        return HeldMisfit(diffusion, self.target, frequency=self.frequency, brought=self.brought)


def held_case(probe: Probe, shift: float) -> HeldCase:
    """The model at the probe's time, with a shift to try and no waves."""
    pair = TimePair(probe.model.diffusion.schedule, probe.s, probe.t)
    return HeldCase(
        Components((), (), (), ()), pair, probe.model.target,
        constant=0.0, slope=0.0, amplitude=0.0, frequency=WAVELESS, shift=shift,
        brought=probe.model,
    )  # fmt: skip
