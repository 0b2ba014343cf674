"""Is the network what its description says? A comparison with the best line in x_t.

A calibration is relative to a description: target, schedule, range of the images. A network that was
trained for it predicts y = A_t x_0 + B_t e better than the best predictor that is a line in x_t,

    l(x_t) = E y + beta (x_t - E x_t),    beta = E (y - E y).(x_t - E x_t) / E |x_t - E x_t|^2,

whose means follow from the mean image. A wrong description makes the network lose to that line by a
large part of the variance of y, and looks like a huge gain of any calibration.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float64
from scipy.stats import t as student
from torch import Tensor

from theory.estimators.device_sums import Sums
from theory.forward.forward_pass import Observation
from theory.statistics.intervals import LEVEL
from theory.support.checks import require_finite
from theory.support.errors import InputError


@dataclass(frozen=True)
class LineComparison:
    """Squared errors at one time, mean over images, of the network and of the best line in x_t.

    Attributes:
        network: E|y_theta - y|^2.
        line: E|l(x_t) - y|^2.
        variance: E|y - E y|^2.
        data_variance: E|x_0 - E x_0|^2.
        standard_error: of network - line, over images.
        images: how many were seen.
    """

    network: float
    line: float
    variance: float
    data_variance: float
    standard_error: float
    images: int

    def excess(self, statements: int) -> float:
        """Lower bound of network - line, for so many times at once (Student)."""
        if self.images < 2:
            return -math.inf
        quantile = float(student.isf((1 - LEVEL) / statements, self.images - 1))
        return self.network - self.line - quantile * self.standard_error


def as_tensor(comparisons: Sequence[LineComparison]) -> Float64[Tensor, "time 6"]:
    """The numbers of each time, for a file."""
    return torch.tensor([list(vars(c).values()) for c in comparisons], dtype=torch.float64)


def from_tensor(rows: Tensor) -> tuple[LineComparison, ...]:
    """The comparisons that ``as_tensor`` wrote; none if an older version did, without ``data_variance``.

    Raises:
        InputError: rows of another kind, or none.
    """
    if not rows.numel():
        raise InputError("calibration: expected a line_check of each time, got none")
    if _is_older(rows):
        return ()
    require_finite("calibration: line_check", rows, (len(rows), 6))
    names = [f.name for f in fields(LineComparison)]
    return tuple(
        LineComparison(**{**dict(zip(names, row, strict=True)), "images": round(row[-1])})
        for row in rows.tolist()
    )


def _is_older(rows: Tensor) -> bool:
    """Whether they have no ``data_variance``: five numbers of each time, the last one the images."""
    if rows.dim() != 2 or rows.shape[1] != len(fields(LineComparison)) - 1:
        return False
    images = rows[:, -1]
    return bool(((images >= 1) & (images == images.round())).all())


class LineSums(Sums):
    """Sums over the images of one time, mean over the draws of each, that make a ``LineComparison``.

    With c = x_0 - mu and e the noise, all that the line needs are |c|^2, c.e and |e|^2.
    """

    fixed = frozenset({"mean"})

    def __init__(self, mean_image: Float64[Tensor, "*shape"]) -> None:
        self.mean = mean_image
        self.count = torch.zeros((), dtype=torch.int64)
        self.total = torch.zeros(4, dtype=torch.float64)
        self.data_variance = torch.zeros((), dtype=torch.float64)
        self.products = torch.zeros(4, 4, dtype=torch.float64)

    def add_(self, seen: Observation) -> None:
        """Take in an observation, in place."""
        seen = self.beside(seen)
        c = (seen.x_0 - self.mean).flatten(1)
        e = seen.noise.flatten(2)
        cc, ce, ee = c.square().sum(1), (e * c).sum(2), e.square().sum(2)
        a, b, alpha, sigma = seen.a, seen.b, seen.alpha, seen.sigma
        of_draws = [
            seen.error.flatten(2).square().sum(2),
            a * a * cc + 2 * a * b * ce + b * b * ee,
            a * alpha * cc + (a * sigma + b * alpha) * ce + b * sigma * ee,
            alpha**2 * cc + 2 * alpha * sigma * ce + sigma**2 * ee,
        ]
        units = torch.stack(of_draws, -1).mean(0)
        self.count += len(units)
        self.total += units.sum(0)
        self.products += units.T @ units
        self.data_variance += cc.sum()

    def comparison(self) -> LineComparison:
        """What the sums say of the network."""
        n = max(1, int(self.count))
        error, variance, with_x, of_x = self.total / n
        beta = with_x / of_x if of_x > 0 else torch.zeros(())
        weights = torch.stack(
            [torch.ones(()).double(), -torch.ones(()).double(), 2 * beta, -(beta**2)]
        )
        mean = weights @ self.total / n
        spread = (weights @ self.products @ weights / n - mean**2).clamp(min=0) / max(1, n - 1)
        line = variance - 2 * beta * with_x + beta**2 * of_x
        return LineComparison(
            error.item(), line.item(), variance.item(), self.data_variance.item() / n,
            spread.sqrt().item(), n,
        )  # fmt: skip
