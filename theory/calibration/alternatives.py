"""Does the network predict better under another description than the one given?

Some mistakes leave a network better than any line in x_t: channels in the other order, labels that
are off by one. They are found by trying: on a few of the images, at a few times, the network is run as
it is described and as each alternative has it, on the same noise. Evaluations are few, about one in
fifty of those of the calibration.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float64, Int64
from scipy.stats import t as student
from torch import Tensor

from theory.calibration.passes import Problem
from theory.forward.chosen import chosen_images
from theory.forward.forward_pass import observe
from theory.forward.images import Conditions, take
from theory.forward.keyed_noise import Draws
from theory.forward.network import Predict

PURPOSE = "alternatives"
LOG_SNRS = (-3.0, -1.0, 1.0, 3.0)
"""Near which the network is run."""

SHARE = 0.02
"""Of the evaluations of the calibration."""

LEAST_IMAGES, MOST_IMAGES = 16, 256
DOUBT = 0.001
"""Probability at which an alternative that is no better is taken for better."""


@dataclass(frozen=True)
class Alternative:
    """Another description.

    Attributes:
        says: how the network is run then.
        predict: the network's call under it.
        conditions: of the images.
    """

    says: str
    predict: Predict
    conditions: Conditions | None


def better_alternatives(problem: Problem, budget: int | None = None) -> tuple[tuple[str, ...], int]:
    """The alternatives under which the network predicts better beyond doubt; evaluations spent.

    Of a budget no more than ``SHARE`` is spent: nothing if that is too little to tell.
    """
    given = Alternative("as described", problem.network.predict, problem.images.conditions)
    shape = tuple(problem.survey.mean_image.mean.shape)
    tried = [*_channels(given, shape), *_labels(given, problem.survey.ranks)]
    count, times = problem.survey.count, _times(problem)
    whole = count * len(problem.times) if budget is None else budget
    spare = int(SHARE * whole / (len(times) * (1 + len(tried))))
    least = LEAST_IMAGES if budget is None else 0
    images = min(count, MOST_IMAGES, max(least, spare))
    if not tried or images < LEAST_IMAGES:
        return (), 0
    generator = torch.Generator().manual_seed(problem.seed)
    rank = torch.randperm(count, generator=generator)[problem.survey.ranks]
    chosen = rank < images
    own = _errors(problem, given, times, chosen)
    scale = own.mean(1, keepdim=True).clamp(min=1e-300)
    quantile = float(student.isf(DOUBT / len(tried), images - 1))
    better = []
    for alternative in tried:
        other = _errors(problem, alternative, times, chosen)
        fall = torch.log((own / scale).sum(0) / (other / scale).sum(0).clamp(min=1e-300))
        if (fall.mean() - quantile * fall.std() / math.sqrt(images)).item() > 0:
            ratio = fall.mean().neg().exp().item()
            better.append(
                f"it predicts better {alternative.says} ({ratio:.2g} times the squared error)"
            )
    return tuple(better), images * len(times) * (1 + len(tried))


def _times(problem: Problem) -> Tensor:
    nearest = {int((problem.grid.log_snr - near).abs().argmin()) for near in LOG_SNRS}
    return problem.times[sorted(nearest)]


def _errors(
    problem: Problem, described: Alternative, times: Tensor, chosen: Bool[Tensor, "image"]
) -> Float64[Tensor, "time chosen"]:
    """Squared errors, in the order of the images."""
    network = replace(problem.network, predict=described.predict, reference=None)
    whole = replace(problem.images, conditions=described.conditions)
    images = chosen_images(whole, problem.survey, chosen)
    errors: list[list[Tensor]] = [[] for _ in times]
    draws = Draws(problem.seed, PURPOSE)
    for seen in observe(network, images, times, draws, device=problem.device):
        errors[seen.time_index].append(seen.error.flatten(2).square().sum(2).mean(0).cpu())
    return torch.stack([torch.cat(column) for column in errors])


def _channels(given: Alternative, shape: tuple[int, ...]) -> list[Alternative]:
    """Images (3, h, w) with the channels in the other order."""

    def reversed_channels(x_t: Tensor, t: Tensor, *condition: Any) -> Tensor:
        """The prediction on images whose channels come the other way round, turned back."""
        return given.predict(x_t.flip(1), t, *condition).flip(1)

    if len(shape) != 3 or shape[0] != 3:
        return []
    return [replace(given, says="with the channels in reversed order", predict=reversed_channels)]


def _labels(given: Alternative, ranks: Int64[Tensor, "image"]) -> list[Alternative]:
    """Conditions that belong to other images; of labels also the next and the last one."""
    labels = given.conditions
    if labels is None:
        return []
    by_rank = ranks.argsort()
    others = take(labels, by_rank.roll(len(ranks) // 2)[ranks])
    tried = [replace(given, says="under the conditions of other images", conditions=others)]
    if not isinstance(labels, Tensor) or labels.dim() != 1 or labels.is_floating_point():
        return tried
    low, high = int(labels.min()), int(labels.max())
    for says, by in () if low == high else (("higher", 1), ("lower", -1)):
        moved = low + (labels - low + by) % (high - low + 1)
        tried.append(replace(given, says=f"with labels one {says}", conditions=moved))
    return tried
