"""Expectations under mixtures, with an estimate of their own error.

In one dimension each component has Gauss-Legendre panels, laid in its deviations about its mean and
cut wherever the panels of another component begin: components a million times narrower than their
neighbours are resolved. In two and three dimensions it is the trapezoid rule, which converges
geometrically for analytic integrands that decay. One grid covers all components; where that takes
too many points, each component has a grid of its own along its eigenvectors, on which a nearly
singular covariance costs no more than any other. The density is taken at points relative to the
means, so that it loses no digits where these are far away.

Both rules are refined until successive sums agree, and an upper estimate of the error is reported.
Panels are halved, and the estimate is the difference of two sums. A grid is moved twice, by ``MOVES``
of its step, before it is refined. By Poisson's summation the error of a grid is a sum of Fourier
coefficients F_m over m != 0, in conjugate pairs, and the j-th grid has F_m exp(2 pi i j m.move) in
its place: for every |m_i| <= 1 the three real values of a pair differ by a quarter of its size or
more, whatever its phase. So no term can hide from three grids, as one may from two, and four times
the spread is reported. Own grids are all moved by the same share of their steps, so that this holds
for their sum.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from toy.mixtures.mixture import GaussianMixture, float64
from toy.numerics.gauss_rules import cartesian, gauss_hermite, gauss_legendre
from toy.numerics.relative_errors import TINY
from toy.numerics.reported_errors import UnresolvedError, report

REACH = 9.0
"""Standard deviations around each component that a grid covers: all but 2e-19 of its mass."""

PANELS = 8
"""First panels of a component by itself, of ``WIDEST`` standard deviations each."""

WIDEST = 3.0

FARTHEST = 38.0
"""Deviations beyond which a density is zero in floating point. A component is followed so far where
other components lie: an event of tiny probability may rest on its tail there alone."""

RADIANS = 8.0
"""Longest panel of a wave: the rule with 16 nodes is in error by 1e-25 of its size."""

FIRST_STEP = 0.75
"""First step of the grid, in the smallest standard deviation: error exp(-2 pi^2 / 0.75^2) ~ 6e-16."""

MOVES = (0.475, 0.2375, 0.1167)
"""How far each grid lies from the one before, along each axis, in steps."""

GRIDS = 3
"""Grids of one step, whose sums must agree."""

FINER = 1.5
"""By how much the step shrinks once grids of one step do not agree."""

MAX_POINTS = 2**22

AT_ONCE = 2**14
"""Points of a first sum with which those of the next are put into one call: calls cost more than points."""

SETTLED = {1: 1e-11, 2: 1e-11, 3: 1e-10}
"""By dimension, how well sums must agree relative to E|h|. In three dimensions an axis has too few
points to average away the rounding of x."""

REFINABLE = 2
"""By how much the points of one grid must be able to grow; else each component has its own grid."""

NODES, NODE_WEIGHTS = (numbers.numpy() for numbers in gauss_legendre(16))

PANEL_ENDS = WIDEST * (np.arange(PANELS + 1) - PANELS / 2)
"""Where a component's own panels end, in its deviations."""


@dataclass(frozen=True)
class Integral:
    """An expectation.

    Attributes:
        value: E h(x), (m,).
        magnitude: E|h(x)|, the scale of its rounding, (m,).
        errors: upper estimates of the error of each entry, (m,).
    """

    value: Float64[Tensor, "m"]
    magnitude: Float64[Tensor, "m"]
    errors: Float64[Tensor, "m"]

    @property
    def error(self) -> float:
        """The largest of the errors."""
        return self.errors.max().item()


def expectation(
    law: GaussianMixture,
    h: Callable[[Tensor], Tensor],
    *,
    scale: float = math.inf,
    size: float = 0.0,
    rtol: float | None = None,
    most: int = MAX_POINTS,
) -> Integral:
    """E_{x ~ law} h(x), in one, two or three dimensions.

    Args:
        law: a mixture without batch.
        h: from points (N, d) to values (N, m).
        scale: a length over which h varies, if shorter than the law's own. A wave would otherwise
            be sampled so coarsely that two wrong sums agree.
        size: of the terms that h adds up, if they cancel: its rounding is relative to that.
        rtol: how well the sums must agree, by default as ``SETTLED``.
        most: the largest number of points of one sum.

    Raises:
        UnresolvedError: the sums do not settle to ``rtol`` of E|h| or the size, or are not finite.
    """
    rtol = rtol or SETTLED[law.dimension]
    rule, together, factor = _rule(law, scale, most)
    sums: list[Tensor] = []
    for value, magnitude in _sums(lambda number: rule(law, scale, number, most), h, together):
        largest = magnitude.max().item()
        if not math.isfinite(largest):
            raise UnresolvedError("quadrature: the integrand overflows")
        sums.append(value)
        if len(sums) >= together:
            last = torch.stack(sums[-together:])
            integral = Integral(value, magnitude, factor * (last.amax(0) - last.amin(0)))
            unit = max(largest, size)
            if integral.error <= rtol * unit:
                report(integral.error / max(unit, TINY))
                return integral
    raise UnresolvedError("quadrature: the sums do not settle")


def _sums(
    points: Callable[[int], tuple[Tensor, Tensor]], h: Callable[[Tensor], Tensor], together: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """E h and E |h| by one rule after the other; the first of them from one call of h if they are small.

    Args:
        points: from the number of a rule, from 0, to its points (N, d) and weights (N,).
        h: from points to values (N, m).
        together: how many rules are needed at least.
    """
    first = [points(0)]
    if len(first[0][1]) <= AT_ONCE:
        first += [points(number) for number in range(1, together)]
    values = h(torch.cat([x for x, _ in first])).split([len(weights) for _, weights in first])
    for (_, weights), own in zip(first, values, strict=True):
        yield weights @ own, weights @ own.abs()
    for number in itertools.count(len(first)):
        x, weights = points(number)
        own = h(x)
        yield weights @ own, weights @ own.abs()


Rule = Callable[[GaussianMixture, float, int, int], tuple[Tensor, Tensor]]
"""From a law, a scale, the number of earlier sums and the most points to x (N, d) and weights (N,)."""


def _rule(law: GaussianMixture, scale: float, most: int) -> tuple[Rule, int, int]:
    """A rule, how many of its sums must agree, and the factor from their spread to the error."""
    if law.dimension == 1:
        return _panels, 2, 1
    _, _, counts = _box(law, _step(law, scale, 0))
    few = counts.prod() <= most // REFINABLE
    return (_grid if few else _own_grids), GRIDS, 4


def _panels(
    law: GaussianMixture, scale: float, refinements: int, most: int
) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre panels of each component, weighted by its own part of the density.

    In numpy, whose calls on a few numbers take a fraction of torch's time.
    """
    means, deviations = law.means[:, 0].numpy(), np.sqrt(law.variances[:, 0].numpy())
    apart = (means - means[:, None])[..., None] + deviations[:, None] * PANEL_ENDS
    edges = (apart / deviations[:, None, None]).clip(-FARTHEST, FARTHEST).reshape(len(means), -1)
    edges.sort(1)
    low, width = edges[:, :-1].ravel(), np.diff(edges).ravel()
    component = np.repeat(np.arange(len(means)), edges.shape[1] - 1)
    longest = np.minimum(RADIANS * scale / deviations, WIDEST)
    pieces = np.ceil(width / longest[component]).astype(np.int64) * 2**refinements
    total = int(pieces.sum())
    _require_few(float(total * len(NODES)), most)
    index = np.arange(total) - np.repeat(pieces.cumsum() - pieces, pieces)
    panel = np.repeat(np.arange(len(pieces)), pieces)
    width, component = width[panel] / pieces[panel], component[panel]
    middle = low[panel] + (index + 0.5) * width
    z = middle[:, None] + width[:, None] / 2 * NODES
    log_weights = law.log_weights.numpy()[component, None]
    density = np.exp(log_weights - z**2 / 2) / math.sqrt(2 * math.pi)
    x = means[component, None] + deviations[component, None] * z
    weights = density * width[:, None] / 2 * NODE_WEIGHTS
    return torch.from_numpy(x.reshape(-1, 1)), torch.from_numpy(weights.ravel())


def _grid(law: GaussianMixture, scale: float, refinements: int, most: int) -> tuple[Tensor, Tensor]:
    """The trapezoid rule on one grid around all components."""
    finer, moved = divmod(refinements, GRIDS)
    step, origin = _step(law, scale, finer), law.means.mean(0)
    law = replace(law, means=law.means - origin)
    low, _, counts = _box(law, step)
    _require_few(counts.prod().item(), most)
    move = moved * step * float64(MOVES[: law.dimension])
    y = cartesian(
        start + step * torch.arange(int(count), dtype=torch.float64)
        for start, count in zip(low - move, counts.tolist(), strict=True)
    )
    return origin + y, step**law.dimension * torch.exp(law.log_density(y))


def _step(law: GaussianMixture, scale: float, finer: int) -> float:
    return FIRST_STEP * min(law.variances.min().sqrt().item(), scale) / FINER**finer


def _box(law: GaussianMixture, step: float) -> tuple[Tensor, Tensor, Tensor]:
    """Lower and upper ends (d,) of what a grid covers, and how many points that takes, (d,)."""
    spread = REACH * torch.diagonal(law.covariances(), dim1=-2, dim2=-1).sqrt()
    low, high = (law.means - spread).amin(0), (law.means + spread).amax(0)
    return low, high, torch.ceil((high - low) / step) + 1


def _own_grids(
    law: GaussianMixture, scale: float, refinements: int, most: int
) -> tuple[Tensor, Tensor]:
    """The trapezoid rule along the eigenvectors of each component, for its own part of the density."""
    finer, moved = divmod(refinements, GRIDS)
    deviations = law.variances.sqrt()
    steps = FIRST_STEP / FINER**finer * _scales(law).clamp(max=scale) / deviations
    counts = torch.ceil(2 * REACH / steps) + 1
    _require_few(counts.prod(1).sum().item(), most)
    move = moved * float64(MOVES[: law.dimension])
    points, weights = [], []
    for k, (step, count) in enumerate(zip(steps, counts.tolist(), strict=True)):
        z = cartesian(
            -REACH + (torch.arange(int(n), dtype=torch.float64) - m) * length
            for n, m, length in zip(count, move, step, strict=True)
        )
        density = torch.exp(-z.square().sum(1) / 2) * (step / math.sqrt(2 * math.pi)).prod()
        points.append(_placed(law, k, z))
        weights.append(torch.exp(law.log_weights[k]) * density)
    return torch.cat(points), torch.cat(weights)


def _scales(law: GaussianMixture) -> Tensor:
    """Along each eigenvector of component k the least deviation of any that overlaps it, (K, d)."""
    axes = law.axes
    precisions = torch.einsum("kia,jil,kla->kja", axes, law.precisions(), axes)
    variances = torch.einsum("kia,jil,kla->kja", axes, law.covariances(), axes)
    apart = torch.einsum("kia,kji->kja", axes, law.means[:, None] - law.means).abs()
    meets = (apart <= REACH * (law.variances.sqrt()[:, None] + variances.sqrt())).all(-1)
    return torch.where(meets[..., None], precisions.rsqrt(), math.inf).amin(1)


def component_nodes(law: GaussianMixture, count: int) -> tuple[Tensor, Tensor]:
    """Gauss-Hermite points (n, K, d) of each component, and their common weights (n,).

    Args:
        law: a mixture of K components, of batch shape () or (K,) and in any dimension d.
        count: nodes to an axis, n = count^d in all. The rule is exact for polynomials of degree
            2 count - 1, and reports no error.
    """
    nodes, weights = gauss_hermite(count)
    offsets = law.from_eigenbasis(
        cartesian([nodes] * law.dimension)[:, None] * law.variances.sqrt()
    )
    return law.means + offsets, cartesian([weights] * law.dimension).prod(-1)


def hermite(
    law: GaussianMixture, count: int
) -> tuple[Float64[Tensor, "n d"], Float64[Tensor, "n"]]:
    """Points and weights of E h(x) for a mixture, by ``component_nodes``."""
    points, weights = component_nodes(law, count)
    return points.flatten(0, 1), torch.outer(weights, torch.exp(law.log_weights)).flatten()


def _placed(law: GaussianMixture, k: int, z: Tensor) -> Tensor:
    """Points (N, d) of component k from z in its deviations along its eigenvectors."""
    offsets = z * law.variances[k].sqrt()
    return law.means[k] + (offsets if law.rotations is None else offsets @ law.rotations[k].T)


def _require_few(points: float, most: int) -> None:
    if points > most:
        raise UnresolvedError(f"quadrature: more than {most} points wanted")
