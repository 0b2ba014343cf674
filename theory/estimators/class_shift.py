"""A shift for each class, partially pooled toward the shared one.

The shared shift s_t is that of the joint law of images and labels. A class c of n_c images has its
own mean m_c; what is applied to it in addition is

    delta_c = w_c (m_c - m),    w_c = tau^2 / (tau^2 + V / n_c),

with V the variance of a unit within classes and tau^2 that between them: a class of few images keeps
to the shared shift. It is applied at times where the gain on left-out groups of images,
2 delta_c.(u - s) - |delta_c|^2, has a positive lower bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from theory.estimators.constant_shift import shift_of
from theory.estimators.device_sums import Sums
from theory.estimators.parts import Measured, Part, PartEstimator, Prediction, Rules
from theory.estimators.time_grid import Between
from theory.forward.forward_pass import GROUPS, Observation
from theory.statistics.lower_bounds import LEAST_GROUPS, lower_bounds
from theory.support.broadcasting import along_batch
from theory.support.checks import kind_of, require_bounds, require_finite
from theory.support.errors import InputError
from theory.support.stored import Contents


@dataclass(frozen=True, eq=False)
class ClassShift(Part):
    """What is subtracted in addition to the shared shift. Plain data; a ``Part``.

    Attributes:
        shift: (T, C, *shape), for labels 0 to C - 1; other labels have none.
        weights: (T, C), w_c, before certification.
        gains: (T,), fall of the squared error to expect of it, by leaving out images.
        certificates: (T,), lower bounds of it, which hold together with all others.

    Raises:
        InputError: parts that do not belong together, or numbers that are not finite.
    """

    title = "shift of each class"

    shift: Float64[Tensor, "time label *shape"]
    weights: Float64[Tensor, "time label"]
    gains: Float64[Tensor, "time"]
    certificates: Float64[Tensor, "time"]

    def __post_init__(self) -> None:
        if not isinstance(self.shift, Tensor) or self.shift.dim() < 3 or not self.shift.numel():
            raise InputError(
                f"class shift: expected (times, classes, *shape), got {kind_of(self.shift)}"
            )
        times, classes = self.shift.shape[:2]
        require_finite("class shift", self.shift, tuple(self.shift.shape))
        require_finite("class shift: weights", self.weights, (times, classes))
        require_bounds("class shift: gains", self.gains, (times,))
        require_bounds("class shift: certificates", self.certificates, (times,))

    def require_fit(self, times: int, shape: tuple[int, ...]) -> None:
        """Raises: InputError, the shifts are of another number of times or of other images."""
        classes = self.shift.shape[1]
        require_finite("calibration: class shift", self.shift, (times, classes, *shape))

    @property
    def applied(self) -> Bool[Tensor, "time"]:
        """At which times the classes differ."""
        return self.shift.flatten(1).any(1)

    def correction(self, at: Between, given: Prediction) -> Float[Tensor, "any *shape"]:
        """The shift of each image's class, linear between the times; zero for other conditions.

        The condition is labels (b,), or None for none.

        Raises:
            InputError: another condition.
        """
        y = given.y
        if given.condition is None:
            return y.new_zeros(1, *y.shape[1:])
        labels = as_labels(given.condition, len(y)).cpu()
        classes = self.shift.shape[1]
        known = (labels >= 0) & (labels < classes)
        label = torch.where(known, labels, 0)
        later = along_batch(at.later * torch.ones(len(labels), dtype=torch.float64), self.shift[0])
        between = torch.lerp(self.shift[at.left, label], self.shift[at.right, label], later)
        of_class = (between * along_batch(known, between)).to(y)
        return along_batch(at.known.to(y), y) * of_class

    def stored(self) -> Contents:
        """The shifts as tensors for a file."""
        return Contents({f"class_{f.name}": getattr(self, f.name) for f in fields(self)})

    @classmethod
    def from_stored(cls, stored: Contents, log_snr: Float64[Tensor, "time"]) -> "ClassShift | None":
        """The shifts that a file holds; None if it holds none."""
        if not any(name.startswith("class_") for name in stored.tensors):
            return None
        return cls(**{f.name: stored.tensors[f"class_{f.name}"] for f in fields(cls)})


def as_labels(condition: Any, count: int) -> Int[Tensor, "b"]:
    """Labels of so many images, from a tensor, an array, or a list of whole numbers.

    Raises:
        InputError: they are no whole numbers, or not one for each image.
    """
    try:
        labels = torch.as_tensor(condition)
    except (TypeError, ValueError, RuntimeError):
        labels = torch.tensor(torch.nan)
    whole = not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
    if not whole or tuple(labels.shape) != (count,):
        raise InputError(
            f"classes: expected an integer label for each of {count} images, got {kind_of(condition)}"
        )
    return labels


class ClassSums(Sums):
    """Takes in labelled observations of one time: sums of residual and noise by group and class."""

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        self.classes = classes
        self.count = torch.zeros(GROUPS, classes, dtype=torch.float64)
        self.sums = torch.zeros(GROUPS, classes, 2, *shape, dtype=torch.float64)

    def add_(self, seen: Observation) -> None:
        """Take in an observation, in place.

        Raises:
            InputError: its conditions are no labels of the classes.
        """
        labels = as_labels(seen.conditions, len(seen.group))
        if not bool(((labels >= 0) & (labels < self.classes)).all()):
            raise InputError(
                f"classes: expected labels from 0 to {self.classes - 1}, "
                f"got {int(labels.min())} to {int(labels.max())}"
            )
        seen = self.beside(seen)
        cell = (seen.group * self.classes + labels.cpu()).to(seen.device)
        units = torch.stack([seen.residual.mean(0), seen.noise.mean(0)], 1)
        self.count.view(-1).index_add_(0, cell, units.new_ones(len(cell)))
        self.sums.flatten(0, 1).index_add_(0, cell, units)

    def totals(self, beta: Float64[Tensor, "group *pixels"]) -> Float64[Tensor, "group label d"]:
        """Sums of r - beta e, beta of each group broadcastable over pixels."""
        r, e = self.sums.unbind(2)
        return (r - beta[:, None] * e).flatten(2)


@dataclass(frozen=True)
class ClassShiftEstimator(PartEstimator):
    """Estimates a ``ClassShift`` by empirical Bayes, from sums by class.

    Attributes:
        classes: how many classes the labels name, from 0.
    """

    takes_noise_slopes: ClassVar[bool] = True

    classes: int

    def sums(self, shape: tuple[int, ...]) -> ClassSums:
        """Empty sums of one time for images of this shape."""
        return ClassSums(shape, self.classes)

    def fit(
        self, measured: Measured, sums: Sequence[ClassSums], rules: Rules, before: Sequence[Part]
    ) -> tuple[ClassShift, Float64[Tensor, "group time"]]:
        """The pooled shift of each class, and its gains on each group from all others."""
        used = torch.stack([s.count.sum(1) > 0 for s in sums]).all(0)
        shared = shift_of(before, torch.stack([m.mean for m in measured.moments]))
        deltas, weights, gains = zip(
            *(
                _of_time(s.count[used], s.totals(slope)[used], of_all.flatten())
                for s, slope, of_all in zip(sums, measured.noise_slopes, shared, strict=True)
            ),
            strict=True,
        )
        by_group = torch.stack(gains, 1)
        bounds = lower_bounds(by_group, rules.statements)
        applied = rules.policy.applies(bounds)
        delta = torch.stack(deltas) * applied[:, None, None]
        by_group = torch.where(applied, by_group, 0.0)
        of_classes = delta.reshape(len(sums), self.classes, *measured.mean_image.mean.shape)
        part = ClassShift(of_classes, torch.stack(weights), by_group.mean(0), bounds)
        return part, by_group


def _of_time(
    count: Float64[Tensor, "group label"],
    total: Float64[Tensor, "group label d"],
    shared: Float64[Tensor, "d"],
) -> tuple[Tensor, Tensor, Tensor]:
    """Deltas (C, d), weights (C,), and the gain of each group (G,)."""
    delta, weights = _pool(count, total)
    if len(count) < LEAST_GROUPS:
        return delta, weights, torch.full((len(count),), -torch.inf, dtype=torch.float64)
    gains = []
    for g in range(len(count)):
        others = torch.arange(len(count)) != g
        tried, _ = _pool(count[others], total[others])
        share = count[g] / count[g].sum()
        mean = total[g] / count[g].clamp(min=1)[:, None]
        gains.append(share @ (2 * tried * (mean - shared) - tried**2).sum(1))
    return delta, weights, torch.stack(gains)


def _pool(
    count: Float64[Tensor, "group label"], total: Float64[Tensor, "group label d"]
) -> tuple[Float64[Tensor, "label d"], Float64[Tensor, "label"]]:
    """Deviations of the classes from the mean of all, shrunk; and the weights."""
    n = count.sum(0)
    mean = total.sum(0) / n.clamp(min=1)[:, None]
    deviation = mean - total.sum((0, 1)) / n.sum()
    of_cells = total / count.clamp(min=1)[..., None] - mean
    freedom = ((count > 0).sum() - (n > 0).sum()).clamp(min=1)
    within = (count[..., None] * of_cells**2).sum() / freedom
    error = within / n.clamp(min=1)
    energy = deviation.square().sum(1)
    between = ((n / n.sum()) @ (energy - error * (1 - n / n.sum()))).clamp(min=0)
    weights = torch.where(n > 0, between / (between + error).clamp(min=1e-300), 0.0)
    return weights[:, None] * deviation, weights
