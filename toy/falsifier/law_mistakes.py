"""Which numbers of the law of x_t are others, where predictions are exact scores of another mixture."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from theory.diffusion.schedules import DiscreteSchedule
from theory.diffusion.targets import SCORE, convert
from toy.falsifier.fitted_laws import FittedLaw, law_of_scores, points_of
from toy.falsifier.number_series import SAME, Series, by_chance, differing, tell
from toy.falsifier.schedule_terms import of_time_alone
from toy.falsifier.sums import products
from toy.falsifier.user_cases import time_at
from toy.falsifier.user_models import Model
from toy.mixtures.mixture import GaussianMixture, float64

POWER = "the power of the probabilities of the components"

Laws = list[tuple[float, GaussianMixture, FittedLaw]]
"""Times, the law of x_t, and the law whose scores came."""


def of_another_law(model: Model, times: list[float]) -> str:
    """How the law whose exact scores the predictions are differs from that of x_t; or ""."""
    laws: Laws = []
    for t in times:
        right = model.diffusion.marginal(t)
        x = points_of(right)
        y = model.at(x, t)
        scores = convert(y, x, float64(t), model.target, SCORE, model.diffusion.schedule)
        found = law_of_scores(x, scores, right)
        if found is None:
            return ""
        laws.append((t, right, found))
    if not laws:
        return ""
    power = float64([found.power for _, _, found in laws])
    if not differing([Series(POWER, "1", power, torch.ones_like(power), {})]):
        told = _told(laws, model)
        return told and f"the law of x_t is another: {told}"
    return _with_a_power(laws, model, power)


def _with_a_power(laws: Laws, model: Model, power: Tensor) -> str:
    """What scores with a power of the probabilities are: of another input, or multiples; or that."""
    times, size = [t for t, _, _ in laws], power.median().item()
    if _reads(model, times, size):
        return f"it is what is right at {size:.6g} x_t, in place of x_t"
    terms = _terms(model, times)
    if not differing(list(_numbers(laws, model, terms))):
        return tell([Series(POWER, "1", power, torch.ones_like(power), terms)], times)
    multiples = [(t, right, *found.as_multiple()) for t, right, found in laws]
    factor = float64([by for *_, by, _ in multiples])
    by = tell([Series("the factor", "1", factor, torch.ones_like(factor), terms)], times)
    told = _told([(t, right, FittedLaw(law)) for t, right, _, law in multiples], model)
    return told and f"it is a multiple of the score of another law: {by}; {told}"


def _told(laws: Laws, model: Model) -> str:
    """The numbers of the laws that are others, or the times at which they are right; or ""."""
    times = [t for t, _, _ in laws]
    terms = _terms(model, times)
    scales = _scales(laws, model, terms)
    different = differing(scales or list(_numbers(laws, model, terms)))
    if scales and different and (other := _other_times(scales, model, times)):
        return other
    return "" if by_chance(different) else tell(different, times)


def _terms(model: Model, times: list[float]) -> dict[str, Tensor]:
    alpha, sigma = float64([model.diffusion.scales(t) for t in times]).T
    likely = {"alpha^2": alpha**2, "sigma^2": sigma**2}
    return likely | products({"alpha": alpha, "sigma": sigma}, size=6)


def _reads(model: Model, times: list[float], factor: float) -> bool:
    """Whether predictions are those that are right at a multiple of x_t."""
    for t in times:
        x = points_of(model.diffusion.marginal(t))
        right = model.exact(factor * x, t)
        if not torch.allclose(model.at(x, t), right, rtol=SAME, atol=SAME):
            return False
    return True


def _other_times(scales: list[Series], model: Model, times: list[float]) -> str:
    """The times at which the schedule has these scales, if there are such; else an empty text."""
    schedule, (in_means, of_data, of_noise) = model.diffusion.schedule, scales
    if isinstance(schedule, DiscreteSchedule):
        return ""
    try:
        log_snr = (of_data.found.log() - of_noise.found.log()).tolist()
        u = float64([time_at(schedule, value) for value in log_snr])
    except ValueError:  # there is no such log-SNR
        return ""
    for found, of in (
        (in_means.found, schedule.alpha(u)),
        (of_noise.found, schedule.sigma(u) ** 2),
    ):
        if not torch.allclose(found, of, rtol=SAME, atol=0):
            return ""
    t = float64(times)
    return tell([Series("the time that is taken", "t", u, t, of_time_alone(t))], times)


def _scales(laws: Laws, model: Model, terms: Mapping[str, Tensor]) -> list[Series]:
    """alpha and sigma, each in means and in variances, if other ones explain all of the law."""
    data = model.diffusion.data
    means, covariances = data.means.flatten(), data.covariances().flatten()
    unit = torch.eye(data.dimension).double().expand_as(data.covariances()).flatten()
    basis = torch.stack([covariances, unit], 1)
    if not means.any() or torch.linalg.matrix_rank(basis, rtol=SAME) < 2:
        return []
    rows = []
    for _, right, found in laws:
        in_means = (found.law.means.flatten() @ means) / (means @ means)
        of_data, of_noise = torch.linalg.lstsq(basis, found.law.covariances().flatten()).solution
        rebuilt = torch.cat([in_means * means, basis @ torch.stack([of_data, of_noise])])
        values = torch.cat([found.law.means.flatten(), found.law.covariances().flatten()])
        same_weights = torch.allclose(
            found.law.log_weights, right.log_weights, rtol=SAME, atol=SAME
        )
        if not same_weights or not torch.allclose(rebuilt, values, rtol=SAME, atol=SAME):
            return []
        rows.append(torch.stack([in_means, of_data, of_noise]))
    found_scales = torch.stack(rows, 1)
    alpha, sigma = float64([model.diffusion.scales(t) for t, _, _ in laws]).T
    return [
        Series("alpha in the means of x_t", "alpha", found_scales[0], alpha, terms),
        Series("alpha^2 in its variances", "alpha^2", found_scales[1], alpha**2, terms),
        Series("sigma^2 in its variances", "sigma^2", found_scales[2], sigma**2, terms),
    ]


def _numbers(laws: Laws, model: Model, terms: Mapping[str, Tensor]) -> Iterator[Series]:
    """Every number of the law, component by component."""
    data = model.diffusion.data
    several = data.dimension > 1

    def series(name: str, right: str, part: str, place: tuple[int, ...]) -> Series:
        found, expected = (
            torch.stack([_part(law, part)[place] for law in of_all])
            for of_all in ([found.law for _, _, found in laws], [right for _, right, _ in laws])
        )
        shows = any(_shows(found.law, right, part, place) for _, right, found in laws)
        return Series(name, right, found, expected, terms, shows)

    for k in range(count := len(data.log_weights)):
        component, weight = f"component {k + 1} of {count}", torch.exp(data.log_weights[k]).item()
        yield series(f"the weight of {component}", f"{weight:.6g}", "weights", (k,))
        for i in range(data.dimension):
            of = f"{component}{f', coordinate {i},' if several else ''}"
            right = f"{data.means[k, i].item():.6g} alpha"
            yield series(f"the mean of {of}", right, "means", (k, i))
            for j in range(i, data.dimension):
                of_both = of if i == j else f"{component}, coordinates {i} and {j},"
                kind = "variance" if i == j else "covariance"
                noise = " + sigma^2" if i == j else ""
                right = f"{data.covariances()[k, i, j].item():.6g} alpha^2{noise}"
                yield series(f"the {kind} of {of_both}", right, "covariances", (k, i, j))


def _part(law: GaussianMixture, part: str) -> Tensor:
    if part == "weights":
        return torch.exp(law.log_weights)
    return law.means if part == "means" else law.covariances()


def _shows(
    found: GaussianMixture, right: GaussianMixture, part: str, place: tuple[int, ...]
) -> bool:
    """Whether the scores change where one number of the law that was found is put right."""
    x = points_of(right)
    parts = {name: _part(found, name).clone() for name in ("weights", "means", "covariances")}
    for at in {place, (*place[:1], *reversed(place[1:]))}:
        parts[part][at] = _part(right, part)[at]
    if torch.linalg.cholesky_ex(parts["covariances"]).info.any():
        return True
    mended = GaussianMixture.full(parts["weights"], parts["means"], parts["covariances"])
    return not FittedLaw(mended).has(x, found.score(x))
