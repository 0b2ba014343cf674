"""What is wrong with a model: where its prediction is not E[y|x_t], and which mistake gives it."""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from theory.diffusion.targets import NAMED, SCORE, convert
from toy.falsifier.mistakes import FLOAT32, explaining, is_rounding
from toy.falsifier.model_errors import ModelPoint, prediction_errors
from toy.falsifier.sweeps import points_around, stratified, usable
from toy.falsifier.user_models import Model
from toy.judge.claim import EXACT_TOLERANCE
from toy.judge.evidence import Explanation
from toy.mixtures.mixture import GaussianMixture, float64

PARTS = 8
"""Times, beside the counterexample's, at which a mistake must explain the predictions."""

REACH = 12.0
"""The largest absolute log-SNR at such a time."""

NEAR = (-1.5, -0.5, 0.7, 1.3)
"""Deviations from each component at which it must."""


def explain_model(point: ModelPoint) -> Explanation | None:
    """The prediction that is wrong at the point, or else around it at its times, if one is."""
    model = point.model
    for t, x_t in _places(point):
        errors = prediction_errors(model, x_t, t)
        worst = errors.argmax()
        if errors[worst] > EXACT_TOLERANCE:
            x = x_t[worst]
            got, expected = model.at(x[None], t)[0], _exact(model, x[None], t)[0]
            axis = (got - expected).abs().nan_to_num(nan=math.inf).argmax()
            of_axis = f"[{axis}]" if len(x) > 1 else ""
            where = ", ".join(f"{value:.6g}" for value in x.tolist())
            name = f"{model.target.name}{of_axis} at x_t = ({where}),"
            value, right = got[axis].item(), expected[axis].item()
            return Explanation(name, t, right, value, likely_mistake(model, x, t))
    return None


def _places(point: ModelPoint) -> Iterator[tuple[float, Tensor]]:
    """Times and points (n, d): the point itself first."""
    yield point.t, point.x_t[None]
    for t in (point.t, point.s):
        if usable(point.model.diffusion.schedule, t):
            yield t, points_around(point.model.diffusion.marginal(t), 0)


def _exact(model: Model, x: Tensor, t: float) -> Tensor:
    return _of_score(model, model.diffusion.score(x, t), x, t)


def _of_score(model: Model, score: Tensor, x: Tensor, t: float) -> Tensor:
    """A score as a prediction of the model's target."""
    return convert(score, x, float64(t), SCORE, model.target, model.diffusion.schedule)


def likely_mistake(model: Model, x: Tensor, t: float) -> str:
    """The known mistake that gives the predictions at x (d,) and at many times and points.

    It is an empty text if none does.
    """
    samples = [(t, torch.cat([x[None], _near(model, t)]))]
    samples += [(u, _near(model, u)) for u in _times(model)]
    got = torch.cat([model.at(points, u) for u, points in samples])
    errors = torch.cat([prediction_errors(model, points, u) for u, points in samples])
    if is_rounding(errors, got, model.predict):
        return FLOAT32
    wrong = [_wrong(model, points, u) for u, points in samples]
    return explaining(got, {name: torch.cat([w[name] for w in wrong]) for name in wrong[0]})


def _near(model: Model, t: float) -> Tensor:
    """Points ``NEAR`` the components at time t, (n, d)."""
    law = model.diffusion.marginal(t)
    deviations = law.covariances().diagonal(dim1=1, dim2=2).sqrt()
    steps = float64(NEAR)[:, None, None] * torch.linspace(1, 0.6, law.dimension).double()
    return (law.means + steps * deviations).flatten(0, 1)


def _times(model: Model) -> list[float]:
    schedule = model.diffusion.schedule
    times = [t for t in stratified(schedule, 0, PARTS) if usable(schedule, t)]
    return [t for t in times if schedule.log_snr(float64(t)).abs() <= REACH]


def _wrong(model: Model, x: Tensor, t: float) -> dict[str, Tensor]:
    """The predictions of each known mistake at points (n, d), (n, d)."""
    diffusion = model.diffusion
    alpha, sigma = diffusion.scales(t)
    right, target = _exact(model, x, t), model.target.name
    found = {
        "the sign": -right,
        "factor 2: twice what it should be": 2 * right,
        "factor 2: half of what it should be": right / 2,
        "missing alpha: alpha times what it should be": alpha * right,
        "missing alpha: 1/alpha times what it should be": right / alpha,
        "sigma for sigma^2: sigma times what it should be": sigma * right,
        "sigma for sigma^2: 1/sigma times what it should be": right / sigma,
    }
    for name, law in _wrong_laws(diffusion.data, alpha, sigma).items():
        found[name] = _of_score(model, law.score(x), x, t)
    for name, other in NAMED.items():
        if other != model.target:
            value = convert(right, x, float64(t), model.target, other, diffusion.schedule)
            found[f"another target: the {name}, where the {target} was expected"] = value
    return found


def _wrong_laws(data: GaussianMixture, alpha: float, sigma: float) -> dict[str, GaussianMixture]:
    """Marginals with a mistake in them."""

    def law(mean: float, variance: float, noise: float) -> GaussianMixture:
        """With means and variances of the data times these, and this variance of the noise."""
        return replace(data, means=mean * data.means, variances=variance * data.variances + noise)

    return {
        "sigma for sigma^2: in the variance of x_t": law(alpha, alpha**2, sigma),
        "missing alpha: in the means of x_t": law(1.0, alpha**2, sigma**2),
        "missing alpha: in the variance of x_t": law(alpha, 1.0, sigma**2),
        "missing alpha: in the means and the variance of x_t": law(1.0, 1.0, sigma**2),
        "alpha for alpha^2: in the variance of x_t": law(alpha, alpha, sigma**2),
        "sigma for sigma^2: of the data, deviations in place of variances": replace(
            law(alpha, 0.0, sigma**2), variances=alpha**2 * data.variances.sqrt() + sigma**2
        ),
    }
