"""What is wrong with a model: where its prediction is not E[y|x_t], and which mistake gives it."""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from theory.diffusion.schedules import DiscreteSchedule, Schedule
from theory.diffusion.targets import NAMED, SCORE, convert
from toy.falsifier.mistakes import AGREES, FLOAT32, constant_factor, explaining, is_rounding
from toy.falsifier.model_errors import ModelPoint, error_among_others, prediction_errors
from toy.falsifier.sweeps import points_around, stratified, usable
from toy.falsifier.user_models import Model
from toy.judge.claim import EXACT_TOLERANCE
from toy.judge.evidence import Explanation
from toy.mixtures.mixture import GaussianMixture, float64

PARTS = 8
"""Times, beside the counterexample's, at which a mistake must explain the predictions."""

REACH = 12.0
"""The largest absolute log-SNR at such a time."""

AMONG_OTHERS = (
    "a row depends on the other rows of its batch: on the first time, a mean over the batch, "
    "something kept from a call before, or x_t written into"
)

NEAR = (-1.5, -0.5, 0.7, 1.3)
"""Deviations from each component at which it must."""


def explain_model(point: ModelPoint) -> tuple[Explanation, ...]:
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
            mistake = likely_mistake(model, x, t)
            if not mistake and _explain_rows(model):
                mistake = AMONG_OTHERS
            where = "" if mistake else _where(model, x, t)
            return (Explanation(name, t, right, value, mistake, where),)
    return _explain_rows(model)


def _explain_rows(model: Model) -> tuple[Explanation, ...]:
    """A prediction that is another one beside rows of other times, if one is."""
    error, point = error_among_others(model)
    if not error > EXACT_TOLERANCE:
        return ()
    in_a_batch = f"{model.target.name} in a batch of several times, against the same row alone,"
    return (Explanation(in_a_batch, point.t, 0.0, error, AMONG_OTHERS),)


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
    samples = _samples(model, x, t)
    got = torch.cat([model.at(points, u) for u, points in samples])
    errors = torch.cat([prediction_errors(model, points, u) for u, points in samples])
    if is_rounding(errors, got, model.predict):
        return FLOAT32
    wrong = [_wrong(model, points, u) for u, points in samples]
    right = torch.cat([_exact(model, points, u) for u, points in samples])
    if explaining(got, {"right": right}):
        return ""
    return (
        explaining(got, {name: torch.cat([w[name] for w in wrong]) for name in wrong[0]})
        or _of_precision(got)
        or constant_factor(got.flatten(), right.flatten())
        or _constant_difference(got - right)
    )


def _samples(model: Model, x: Tensor, t: float) -> list[tuple[float, Tensor]]:
    """Times and points (n, d): x itself first."""
    own = t, torch.cat([x[None], _near(model, t)])
    return [own, *((u, _near(model, u)) for u in _times(model))]


def _of_precision(got: Tensor) -> str:
    """Half precision, in which all values that came are whole."""
    known = got[got.isfinite()]
    for dtype, name in ((torch.bfloat16, "bfloat16"), (torch.float16, "float16")):
        if len(known) and torch.equal(known, known.to(dtype).double()):
            return f"{name} parameters or arithmetic; make the numbers in float64"
    return ""


def _where(model: Model, x: Tensor, t: float) -> str:
    """Where predictions are wrong, if they are right in some coordinates or at the times on one side."""
    wrong = [(u, _is_wrong(model, points, u)) for u, points in _samples(model, x, t)]
    axes = torch.cat([of_time for _, of_time in wrong]).any(0)
    if not axes.all():
        some = ", ".join(str(k) for k in axes.nonzero()[:, 0].tolist())
        return f"wrong in coordinate {some} (from 0), right in the others"
    at = sorted((t, bool(of_time.any())) for t, of_time in wrong)
    changes = [k for k in range(1, len(at)) if at[k][1] != at[k - 1][1]]
    if len(changes) != 1:
        return ""
    early, late = at[changes[0] - 1], at[changes[0]]
    sides = ("right", "wrong") if late[1] else ("wrong", "right")
    return f"{sides[0]} at the times up to {early[0]:.6g}, {sides[1]} from {late[0]:.6g} on"


def _is_wrong(model: Model, points: Tensor, t: float) -> Tensor:
    """Which coordinates of the predictions at points (n, d) are not what they should be, (n, d)."""
    got, right = model.at(points, t), _exact(model, points, t)
    return ~((got - right).abs() <= AGREES * (1 + right.abs()))


def _constant_difference(off: Tensor) -> str:
    """A vector that is added everywhere; an empty text if none is."""
    mean = off.mean(0)
    if not off.isfinite().all() or (off - mean).abs().max() > AGREES * mean.abs().max():
        return ""
    return f"everywhere {', '.join(f'{value:+.3g}' for value in mean.tolist())} is added"


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
    for name, score in _wrong_scores(diffusion.marginal(t), x).items():
        found[name] = _of_score(model, score, x, t)
    for name, u in _other_times(diffusion.schedule, t).items():
        unknown = torch.full_like(x, math.nan)
        found[name] = unknown if u is None else _of_score(model, diffusion.score(x, u), x, u)
    for name, other in NAMED.items():
        if other != model.target:
            value = convert(right, x, float64(t), model.target, other, diffusion.schedule)
            found[f"another target: the {name}, where the {target} was expected"] = value
    return found


def _other_times(schedule: Schedule, t: float) -> dict[str, float | None]:
    """Other times that t may be taken for; None for one that the schedule does not have."""
    low, high = schedule.t_min, schedule.t_max
    step = 1.0 if isinstance(schedule, DiscreteSchedule) else (high - low) / 1000
    others = {
        "time: backwards, at t_min + t_max - t": low + high - t,
        "time: one step early": t - step,
        "time: one step late": t + step,
        "time: 0.001 early": t - 0.001,
        "time: 0.001 late": t + 0.001,
    }
    return {
        name: u if low <= u <= high and usable(schedule, u) else None for name, u in others.items()
    }


def _wrong_scores(law: GaussianMixture, x: Tensor) -> dict[str, Tensor]:
    """Scores with a mistake in how the components of the right law are put together, (n, d)."""
    of_each, weights = law.component_scores(x), torch.exp(law.log_weights)
    nearest = torch.nn.functional.one_hot(law.responsibilities(x).argmax(1), len(weights)).double()
    logs, half_logdet = law.log_components(x), law.covariances().logdet() / 2
    peaks = law.log_weights - half_logdet - law.dimension * math.log(2 * math.pi) / 2
    mixed = {
        "components: their densities without 1/sqrt(det C)": logs + half_logdet,
        "components: their densities with 1/det C": logs - half_logdet,
        "components: their densities without 1/2 in the exponent": 2 * logs - peaks,
    }
    apart = law.means - law.mean()
    whole = torch.einsum("k,kij->ij", weights, law.covariances())
    whole = whole + torch.einsum("k,ki,kj->ij", weights, apart, apart)
    found = {
        "components: their weights in place of their probabilities at x_t":
            torch.einsum("k,nkd->nd", weights, of_each),
        "components: the most likely one alone": torch.einsum("nk,nkd->nd", nearest, of_each),
        **{
            name: torch.einsum("nk,nkd->nd", torch.softmax(heights, 1), of_each)
            for name, heights in mixed.items()
        },
        "components: one Gaussian with the mean and the variance of all":
            -torch.linalg.solve(whole, (x - law.mean()).T).T,
        "the gradient of the density, not of its logarithm":
            torch.exp(law.log_density(x))[:, None] * law.score(x),
    }  # fmt: skip
    if law.dimension > 1:
        found["coordinates: the other way round"] = law.score(x).flip(1)
    return found


def _wrong_laws(data: GaussianMixture, alpha: float, sigma: float) -> dict[str, GaussianMixture]:
    """Marginals with a mistake in them."""

    def noised(wrong: GaussianMixture) -> GaussianMixture:
        """The law of x_t for wrong data."""
        return replace(
            wrong, means=alpha * wrong.means, variances=alpha**2 * wrong.variances + sigma**2
        )

    def law(mean: float, variance: float, noise: float) -> GaussianMixture:
        """With means and variances of the data times these, and this variance of the noise."""
        return replace(data, means=mean * data.means, variances=variance * data.variances + noise)

    wrong_data = {
        "components: their weights exchanged": replace(data, log_weights=data.log_weights.flip(0)),
        "components: their variances exchanged": replace(data, variances=data.variances.flip(0)),
        "components: equal weights": replace(data, log_weights=0 * data.log_weights),
        "covariances: without what is off their diagonals": replace(
            data, variances=data.covariances().diagonal(dim1=1, dim2=2), rotations=None
        ),
        "covariances: their inverses": replace(data, variances=1 / data.variances),
        "covariances: turned the other way": replace(
            data, rotations=None if data.rotations is None else data.rotations.mT
        ),
        "data: of mean 0 and variance 1, as in training": _normalized(data),
    }
    factors, positive = torch.linalg.cholesky_ex(data.covariances())
    if not positive.any():
        wrong_data["covariances: L^T L in place of L L^T"] = GaussianMixture.full(
            torch.exp(data.log_weights), data.means, factors.mT @ factors
        )
    for k in range(len(data.log_weights) if len(data.log_weights) > 1 else 0):
        left = torch.arange(len(data.log_weights)) != k
        rotations = None if data.rotations is None else data.rotations[left]
        wrong_data[f"components: number {k + 1} is forgotten"] = GaussianMixture(
            data.log_weights[left].log_softmax(0), data.means[left], data.variances[left], rotations
        )
        deviations = data.variances.clone()
        deviations[k] = deviations[k].sqrt()
        wrong_data[f"sigma for sigma^2: the deviation of component {k + 1}"] = replace(
            data, variances=deviations
        )
    for k in range(data.dimension if data.dimension > 1 and data.rotations is None else 0):
        deviations = data.variances.clone()
        deviations[:, k] = deviations[:, k].sqrt()
        wrong_data[f"sigma for sigma^2: the deviations in coordinate {k}"] = replace(
            data, variances=deviations
        )
    return {name: noised(wrong) for name, wrong in wrong_data.items()} | {
        "alpha for alpha^2: alpha_bar for alpha, in the means and the variance of x_t": law(
            alpha**2, alpha**4, sigma**2
        ),
        "factor 2: twice the variance of x_t": replace(
            noised(data), variances=2 * noised(data).variances
        ),
        "factor 2: half the variance of x_t": replace(
            noised(data), variances=noised(data).variances / 2
        ),
        "missing noise: the law of alpha x_0": law(alpha, alpha**2, 0.0),
        "sigma for sigma^2: in the variance of x_t": law(alpha, alpha**2, sigma),
        "alpha and sigma exchanged": law(sigma, sigma**2, alpha**2),
        "missing alpha: in the means of x_t": law(1.0, alpha**2, sigma**2),
        "missing alpha: in the variance of x_t": law(alpha, 1.0, sigma**2),
        "missing alpha: in the means and the variance of x_t": law(1.0, 1.0, sigma**2),
        "alpha for alpha^2: in the variance of x_t": law(alpha, alpha, sigma**2),
        "sigma for sigma^2: of the data, deviations in place of variances": replace(
            law(alpha, 0.0, sigma**2), variances=alpha**2 * data.variances.sqrt() + sigma**2
        ),
    }


def _normalized(data: GaussianMixture) -> GaussianMixture:
    """The data, moved and scaled to mean 0 and variance 1 over all coordinates."""
    weights, mean = torch.exp(data.log_weights), data.mean()
    apart = (data.means - mean).square()
    inner = data.covariances().diagonal(dim1=1, dim2=2)
    variance = (weights @ (inner + apart)).mean()
    return replace(
        data, means=(data.means - mean) / variance.sqrt(), variances=data.variances / variance
    )
