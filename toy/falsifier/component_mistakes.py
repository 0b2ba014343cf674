"""What is wrong within the components of a prediction, where their probabilities are right.

Given the component, a right prediction is linear in x_t, so that y = sum_k P(k|x_t) (a_k x_t + b_k) with
matrices a_k and vectors b_k at each time, which are found by linear least squares.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from toy.falsifier.fitted_laws import points_of
from toy.falsifier.number_series import Series, differing, tell
from toy.falsifier.sums import products, sum_of_terms
from toy.falsifier.user_models import Model
from toy.mixtures.mixture import float64

MET = 1e-6
"""Relative error up to which predictions are met."""

RESOLVED = 1e5
"""The largest condition number with which the numbers are found."""


def within_components(model: Model, times: list[float]) -> str:
    """Which numbers of a_k and b_k are others, at the times at which they can be found; or ""."""
    found, expected, resolved = [], [], []
    for t in times:
        law = model.diffusion.marginal(t)
        x = points_of(law)
        features = _features(law.responsibilities(x), x)
        if torch.linalg.cond(features / features.norm(dim=0)) > RESOLVED:
            continue
        got, right = (_numbers(features, of(x, t)) for of in (model.at, model.exact))
        if got is None or right is None:
            return ""
        found.append(got)
        expected.append(right)
        resolved.append(t)
    if not found:
        return ""
    series = list(_series(model, float64(resolved), torch.stack(found), torch.stack(expected)))
    told = tell(differing(series), resolved)
    return told and (
        "the probabilities of the components are right, but given the component (of variance V in x_t), "
        f"y = a x_t + b, {told}"
    )


def _features(p: Tensor, x: Tensor) -> Tensor:
    """P(k|x_t) times each coordinate of x_t and one, (n, K (d + 1))."""
    with_one = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    return (p[:, :, None] * with_one[:, None]).flatten(1)


def _numbers(features: Tensor, y: Tensor) -> Tensor | None:
    """a_k and b_k of predictions (n, d), by component and feature, (K (d + 1), d)."""
    if not y.isfinite().all():
        return None
    size = (y.abs() + y.abs().median()).amax(1, keepdim=True)
    numbers = torch.linalg.lstsq(features / size, y / size).solution
    met = (features @ numbers - y).abs() <= MET * size
    return numbers if bool(met.all()) else None


def _series(model: Model, t: Tensor, found: Tensor, expected: Tensor) -> Iterator[Series]:
    """Each number over times, from tensors (times, K (d + 1), d)."""
    data, schedule = model.diffusion.data, model.diffusion.schedule
    alpha, sigma, d = schedule.alpha(t), schedule.sigma(t), data.dimension
    for row in range(found.shape[1]):
        k, feature = divmod(row, d + 1)
        for i in range(d):
            variance = alpha**2 * data.covariances()[k, i, i] + sigma**2
            terms = products({"alpha": alpha, "sigma": sigma, "V": variance}, size=6)
            place = f"component {k + 1} of {len(data.log_weights)}"
            if d > 1:
                place += f", coordinate {i}" + (f" by {feature}" if i != feature < d else "")
            right = expected[:, row, i]
            name = f"{'b' if feature == d else 'a'} in {place}"
            yield Series(name, sum_of_terms(right, terms), found[:, row, i], right, terms)
