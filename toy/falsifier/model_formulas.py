"""What wrong predictions are, as a formula: found from their values, not from a list of mistakes."""

import torch
from torch import Tensor

from theory.diffusion.schedules import Schedule
from theory.diffusion.targets import NAMED, convert
from toy.falsifier.component_mistakes import within_components
from toy.falsifier.fitted_laws import points_of
from toy.falsifier.law_mistakes import of_another_law
from toy.falsifier.mistakes import AGREES
from toy.falsifier.model_terms import Samples, of_the_means
from toy.falsifier.sweeps import stratified, usable
from toy.falsifier.user_models import Model
from toy.falsifier.where import clipped_at, is_linear
from toy.mixtures.mixture import float64

LINEAR = "linear in x_t, as if the data were one Gaussian"

LOG_SNR = (-4.5, -3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 4.5)
"""At the times nearest to these predictions are asked for."""


def as_formula(model: Model, samples: Samples, far: Samples) -> str:
    """The predictions in terms of means, laws, or components; or "".

    Args:
        model: whose they are.
        samples: times and points at which they are asked for; other ones are added.
        far: the same with points that lie far from the data.
    """
    times = _times(model.diffusion.schedule, samples[0][0])
    tried = [(u, points_of(model.diffusion.marginal(u))) for u in times]
    moderate = [(u, x) for u, x in tried if apart(model.at(x, u), model.exact(x, u)).any()]
    wrong = [u for u, _ in moderate]
    if not moderate:
        return ""
    found = (
        of_the_means(model, moderate)
        or _clipped(model, far)
        or _linear(model, samples)
        or of_another_law(model, wrong)
        or within_components(model, wrong)
    )
    right = len(tried) - len(moderate)
    return f"{found}; at {right} of {len(tried)} times it is right" if found and right else found


def _times(schedule: Schedule, t: float) -> list[float]:
    """t, and times of moderate log-SNR."""
    known = [u for u in stratified(schedule, 0) if usable(schedule, u)]
    log_snr = schedule.log_snr(float64(known))
    nearest = {known[int((log_snr - wanted).abs().argmin())] for wanted in LOG_SNR}
    return [t, *sorted(nearest - {t})]


def apart(got: Tensor, right: Tensor) -> Tensor:
    """Which coordinates are not what they should be, (n, d)."""
    return ~((got - right).abs() <= AGREES * (1 + right.abs()))


def _clipped(model: Model, samples: Samples) -> str:
    """Which of the targets is clipped, and where it stands; an empty text if none is."""
    schedule = model.diffusion.schedule
    for name, target in {model.target.name: model.target, **NAMED}.items():
        got, right = (
            torch.cat([
                convert(of(points, t), points, float64(t), model.target, target, schedule)
                for t, points in samples
            ])
            for of in (model.at, model.exact)
        )  # fmt: skip
        if stands := clipped_at(got, right, apart(got, right)):
            return f"the {name} is clipped: {stands}"
    return ""


def _linear(model: Model, samples: Samples) -> str:
    """Whether predictions are linear in x_t where they should not be."""
    enough = [(t, x) for t, x in samples if len(x) > x.shape[1] + 1]
    linear, right = (
        [is_linear(points, of(points, t), AGREES) for t, points in enough]
        for of in (model.at, model.exact)
    )
    return LINEAR if enough and all(linear) and not all(right) else ""
