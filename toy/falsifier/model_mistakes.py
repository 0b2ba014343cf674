"""What is wrong with a model: where its prediction is not E[y|x_t], and which mistake gives it."""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from theory.diffusion.targets import DATA, NAMED, NOISE, convert
from toy.falsifier.mistakes import (
    AGREES,
    FLOAT32,
    constant_factor,
    explaining,
    is_rounding,
)
from toy.falsifier.model_errors import ModelPoint, error_among_others, prediction_errors
from toy.falsifier.model_formulas import apart, as_formula
from toy.falsifier.model_terms import Samples
from toy.falsifier.other_times import other_times
from toy.falsifier.sweeps import points_around, stratified, usable
from toy.falsifier.user_models import Model
from toy.falsifier.where import one_sided, some_coordinates
from toy.falsifier.wrong_scores import (
    wrong_conversions,
    wrong_means,
    wrong_noises,
    wrong_scores,
)
from toy.judge.claim import EXACT_TOLERANCE
from toy.judge.evidence import Explanation
from toy.mixtures.mixture import float64

PARTS = 8
"""Times, beside the counterexample's, at which a mistake must explain the predictions."""

MOST_TIMES = 12
"""About so many of them are taken."""

REACH = 12.0
"""The largest absolute log-SNR at such a time."""

AMONG_OTHERS = (
    "a row depends on the other rows of its batch: on the first time, a sum, mean or softmax over the "
    "batch, something kept from a call before, or x_t written into"
)

NEAR = (-1.5, -0.5, 0.7, 1.3)
"""Deviations from each component at which it must."""

FAR = (-12.0, -5.0, 5.0, 12.0)
"""Deviations at which clips, and where a prediction is wrong, are looked for as well."""


def explain_model(point: ModelPoint) -> tuple[Explanation, ...]:
    """The prediction that is wrong at the point, or else around it at its times, if one is."""
    model = point.model
    for t, x_t in _places(point):
        errors = prediction_errors(model, x_t, t)
        worst = errors.argmax()
        if errors[worst] > EXACT_TOLERANCE:
            x = x_t[worst]
            got, expected = model.at(x[None], t)[0], model.exact(x[None], t)[0]
            axis = (got - expected).abs().nan_to_num(nan=math.inf).argmax()
            of_axis = f"[{axis}]" if len(x) > 1 else ""
            place = ", ".join(f"{value:.6g}" for value in x.tolist())
            name = f"{model.target.name}{of_axis} at x_t = ({place}),"
            value, right = got[axis].item(), expected[axis].item()
            mistake = likely_mistake(model, x, t)
            if not mistake and _explain_rows(model):
                mistake = AMONG_OTHERS
            where = "" if mistake else _where(model, x, t)
            mistake = mistake or _formula(model, x, t)
            return (Explanation(name, t, right, value, mistake, where),)
    return _explain_rows(model)


def _explain_rows(model: Model) -> tuple[Explanation, ...]:
    """A prediction that is another one beside rows of other times, if one is."""
    error, point = error_among_others(model)
    if not error > EXACT_TOLERANCE:
        return ()
    in_a_batch = (
        f"{model.target.name} of a row among others of several times less that of it alone,"
    )
    return (Explanation(in_a_batch, point.t, 0.0, error, AMONG_OTHERS),)


def _places(point: ModelPoint) -> Iterator[tuple[float, Tensor]]:
    """Times and points (n, d): the point itself first."""
    yield point.t, point.x_t[None]
    for t in (point.t, point.s):
        if usable(point.model.diffusion.schedule, t):
            yield t, points_around(point.model.diffusion.marginal(t), 0)


def likely_mistake(model: Model, x: Tensor, t: float) -> str:
    """The known mistake that gives the predictions at x (d,) and at many times and points.

    It is an empty text if none does.
    """
    samples = _samples(model, x, t)
    got = torch.cat([model.at(points, u) for u, points in samples])
    errors = torch.cat([prediction_errors(model, points, u) for u, points in samples])
    right = torch.cat([model.exact(points, u) for u, points in samples])
    if added := _constant_difference(got - right):
        return added
    if is_rounding(errors, got, model.predict):
        return FLOAT32
    if explaining(got, {"right": right}):
        return ""
    of_each = [_wrong(model, points, u) for u, points in samples]
    wrong = {name: torch.cat([w[name] for w in of_each]) for name in of_each[0]}
    return (
        explaining(got, wrong)
        or _of_precision(got)
        or constant_factor(got.flatten(), right.flatten())
        or explaining(got, _with_a_factor(model, wrong, samples))
    )


def _formula(model: Model, x: Tensor, t: float) -> str:
    return as_formula(model, _samples(model, x, t), _samples(model, x, t, NEAR + FAR))


def _with_a_factor(
    model: Model, wrong: Mapping[str, Tensor], samples: Samples
) -> dict[str, Tensor]:
    """Two mistakes at once: each one, and a factor."""
    factors = _factors(*_scales(model, samples))
    return {
        f"two mistakes: {name}; and {factor}": by * values
        for name, values in wrong.items()
        for factor, by in factors.items()
    }


def _factors(alpha: float | Tensor, sigma: float | Tensor) -> dict[str, float | Tensor]:
    """What predictions are multiplied with by mistake."""
    return {
        "the sign": -1.0,
        "factor 2: twice what it should be": 2.0,
        "factor 2: half of what it should be": 0.5,
        "one alpha too many: alpha times what it should be": alpha,
        "one alpha too few: 1/alpha times what it should be": 1 / alpha,
        "one sigma too many: sigma times what it should be": sigma,
        "one sigma too few: 1/sigma times what it should be": 1 / sigma,
    }


def _scales(model: Model, samples: Samples) -> tuple[Tensor, Tensor]:
    """alpha and sigma of each point, (n, 1)."""
    both = [float64([model.diffusion.scales(t)]).expand(len(points), 2) for t, points in samples]
    alpha, sigma = torch.cat(both).T[..., None]
    return alpha, sigma


def _samples(model: Model, x: Tensor, t: float, deviations: tuple[float, ...] = NEAR) -> Samples:
    """Times and points (n, d) at so many deviations from the components: x itself first."""
    own = t, torch.cat([x[None], _near(model, t, deviations)])
    return [own, *((u, _near(model, u, deviations)) for u in _times(model))]


def _of_precision(got: Tensor) -> str:
    """Half precision, in which all values that came are whole."""
    known = got[got.isfinite()]
    for dtype, name in ((torch.bfloat16, "bfloat16"), (torch.float16, "float16")):
        if len(known) and torch.equal(known, known.to(dtype).double()):
            return f"{name} parameters or arithmetic; make the numbers in float64"
    return ""


def _where(model: Model, x: Tensor, t: float) -> str:
    """Where alone predictions are wrong: in some coordinates, at some times, far or near; or ""."""
    samples = _samples(model, x, t, NEAR + FAR)
    of_times = [apart(model.at(points, u), model.exact(points, u)) for u, points in samples]
    wrong, points = torch.cat(of_times), torch.cat([points for _, points in samples])
    right = torch.cat([model.exact(points, u) for u, points in samples])
    rows, times = wrong.any(1), float64([u for u, _ in samples])
    return (
        some_coordinates(wrong)
        or one_sided("t", times, torch.stack([some.any() for some in of_times]), fewest=1)
        or one_sided("the largest |x_t|", points.abs().amax(1), rows)
        or one_sided(f"the largest |{model.target.name}|", right.abs().amax(1), rows)
    )


def _constant_difference(off: Tensor) -> str:
    """A vector that is added everywhere; an empty text if none is."""
    mean = off.mean(0)
    size = mean.abs().max()
    if not off.isfinite().all() or (off - mean).abs().max() > AGREES * size or not size:
        return ""
    if len(mean) == 1:
        return f"everywhere {mean.item():+.3g} is added"
    some = [f"{value:+.3g} to coordinate {k}" for k, value in enumerate(mean.tolist())]
    parts = [part for part, value in zip(some, mean, strict=True) if value.abs() > AGREES * size]
    return f"everywhere {', '.join(parts)} is added"


def _near(model: Model, t: float, distances: tuple[float, ...]) -> Tensor:
    """Points at so many deviations from the components at time t, (n, d)."""
    law = model.diffusion.marginal(t)
    deviations = law.covariances().diagonal(dim1=1, dim2=2).sqrt()
    steps = float64(distances)[:, None, None] * torch.linspace(1, 0.6, law.dimension).double()
    return (law.means + steps * deviations).flatten(0, 1)


def _times(model: Model) -> list[float]:
    schedule = model.diffusion.schedule
    times = [t for t in stratified(schedule, 0, PARTS) if usable(schedule, t)]
    within = [t for t in times if schedule.log_snr(float64(t)).abs() <= REACH]
    return within[:: max(1, len(within) // MOST_TIMES)]


def _wrong(model: Model, x: Tensor, t: float) -> dict[str, Tensor]:
    """The predictions of each known mistake at points (n, d), (n, d)."""
    diffusion = model.diffusion
    right, target = model.exact(x, t), model.target.name
    found = {name: by * right for name, by in _factors(*diffusion.scales(t)).items()}
    scores = wrong_scores(diffusion, x, t)
    all_of = model.of_score(torch.cat(list(scores.values())), x.repeat(len(scores), 1), t)
    found |= dict(zip(scores, all_of.split(len(x)), strict=True))
    for name, data in wrong_means(diffusion, x, t).items():
        found[name] = convert(data, x, float64(t), DATA, model.target, diffusion.schedule)
    for name, u in other_times(diffusion.schedule, t).items():
        unknown = torch.full_like(x, math.nan)
        found[name] = unknown if u is None else model.of_score(diffusion.score(x, u), x, u)
    for name, other in NAMED.items():
        if other != model.target:
            value = convert(right, x, float64(t), model.target, other, diffusion.schedule)
            found[f"another target: the {name}, where the {target} was expected"] = value
    return found | _of_terms(model, x, t)


def _of_terms(model: Model, x: Tensor, t: float) -> dict[str, Tensor]:
    """Predictions with a mistake in one of the terms of the target, a x_0 and b e, (n, d)."""
    diffusion = model.diffusion
    a, b = model.target.coefficients(diffusion.schedule, float64(t))
    data, noise = diffusion.posterior_mean(x, t), diffusion.noise_prediction(x, t)
    found = {
        "terms: the sign of the data": -a * data + b * noise,
        "terms: the sign of the noise": a * data - b * noise,
        "terms: the coefficients of data and noise exchanged": b * data + a * noise,
        "terms: the data is missing": b * noise,
        "terms: the noise is missing": a * data,
    }
    for name, wrong in wrong_conversions(x, noise, *diffusion.scales(t)).items():
        found[name] = convert(wrong, x, float64(t), DATA, model.target, diffusion.schedule)
    for name, wrong in wrong_noises(x, data, *diffusion.scales(t)).items():
        found[name] = convert(wrong, x, float64(t), NOISE, model.target, diffusion.schedule)
        found[f"{name}, beside the right data"] = a * data + b * wrong
    for name, wrong in wrong_means(diffusion, x, t).items():
        found[f"{name}, beside the right noise"] = a * wrong + b * noise
    return found
