"""Expectations under mixtures, with the error that they carry.

In one dimension, Gauss-Legendre panels of each component's own, in its deviations from its mean,
which end wherever those of another do: components a million times narrower than their neighbours are
resolved. In two and three, the trapezoid rule, which converges geometrically for analytic integrands
that decay: on one grid around all components or, where that takes many points, on a grid of each
component's own along its eigenvectors, on which a covariance that is nearly singular costs no more
than any other. The density is taken at points about the means, so that it loses no digits where these
are far away.

Either rule is refined until successive sums agree, and an upper estimate of their error is reported.
Panels are halved, and the difference of two sums is that. A grid is moved twice, by ``MOVES`` of its
step, before it is refined. By Poisson's summation the error of a grid is a sum of Fourier coefficients
F_m over m != 0, in conjugate pairs, of which the j-th grid sees F_m exp(2 pi i j m.move): for every
|m_i| <= 1 the three real values that come of a pair differ by a quarter of its size or more, whatever
its phase. So no term can hide, as one may from two grids, and four times the spread is reported. Own
grids are all moved by the same share of their steps, so that this holds for their sum.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from toy.mixtures.mixture import GaussianMixture

REACH = 9.0
"""How many standard deviations around each component a grid covers: 2e-19 of its mass it does not."""

PANELS = 8
"""First panels of a component by itself, of ``WIDEST`` standard deviations each."""

WIDEST = 3.0

FARTHEST = 38.0
"""Deviations beyond which a density is zero in floating point. So far a component is followed to where
others are: what has a tiny probability may rest on its tail there alone."""

RADIANS = 8.0
"""Longest panel of a wave: Gauss and Legendre's rule with 16 nodes is in error by 1e-25 of its size."""

FIRST_STEP = 0.75
"""First step of the grid, in the smallest standard deviation: error exp(-2 pi^2 / 0.75^2) ~ 6e-16."""

MOVES = (0.475, 0.2375, 0.1167)
"""How far each grid lies from the one before, along each axis, in steps."""

GRIDS = 3
"""Grids of one step, whose sums must agree."""

FINER = 1.5
"""By how much the step shrinks once grids of one step do not agree."""

MAX_POINTS = 2**22

SETTLED = {1: 1e-11, 2: 1e-11, 3: 1e-10}
"""By dimension, of E|h|, how well sums agree: in three there are too few points to an axis to average
the last digit of x away."""

TINY = 1e-300
"""Instead of a unit that is zero, in which nothing is in error."""

REFINABLE = 2
"""By how much the points of one grid must be able to grow, or each component gets its own."""

NODES, NODE_WEIGHTS = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(16))


@dataclass(frozen=True)
class Integral:
    """E h(x), ``magnitude`` = E|h(x)| (the scale of its rounding) and error estimates, each (m,)."""

    value: Tensor
    magnitude: Tensor
    errors: Tensor

    @property
    def error(self) -> float:
        """The largest of the errors."""
        return self.errors.max().item()


_listening: list[list[float]] = []


@contextmanager
def reported() -> Iterator[list[float]]:
    """The error of every expectation taken within, over E|h| or the size, as it is taken.

    It is not heard outside.
    """
    errors: list[float] = []
    _listening.append(errors)
    try:
        yield errors
    finally:
        _listening.pop()


def report(error: float) -> None:
    """Tell an error to whom it concerns."""
    if _listening:
        _listening[-1].append(error)


class UnresolvedError(ArithmeticError):
    """The quadrature could not reach its tolerance; no verdict can be based on it."""


def expectation(
    law: GaussianMixture,
    h: Callable[[Tensor], Tensor],
    *,
    scale: float = math.inf,
    size: float = 0.0,
    rtol: float | None = None,
    most: int = MAX_POINTS,
) -> Integral:
    """E_{x ~ law} h(x) for h: (N, d) -> (N, m), d = 1, 2 or 3.

    Args:
        scale: a length over which h varies, if shorter than the law's own (a wave would otherwise
            be sampled too coarsely for two sums to tell).
        size: of the terms that h adds up, if they cancel: its rounding is relative to it.
        rtol: how well the sums must agree, by default as ``SETTLED``.
        most: points of one sum at most.

    Raises:
        UnresolvedError: the sums do not settle to ``rtol`` of E|h| or the size, or are not finite.
    """
    rtol = rtol or SETTLED[law.dimension]
    rule, together, factor = _rule(law, scale, most)
    sums: list[Tensor] = []
    while True:
        x, weights = rule(law, scale, len(sums), most)
        values = h(x)
        value, magnitude = weights @ values, weights @ values.abs()
        if not torch.isfinite(magnitude).all():
            raise UnresolvedError("quadrature: the integrand overflows")
        sums.append(value)
        if len(sums) >= together:
            last = torch.stack(sums[-together:])
            integral = Integral(value, magnitude, factor * (last.amax(0) - last.amin(0)))
            unit = max(magnitude.max().item(), size)
            if integral.error <= rtol * unit:
                report(integral.error / max(unit, TINY))
                return integral


Rule = Callable[[GaussianMixture, float, int, int], tuple[Tensor, Tensor]]
"""From a law, a scale, the number of sums before and the most points: x (N, d), weights (N,)."""


def _rule(law: GaussianMixture, scale: float, most: int) -> tuple[Rule, int, int]:
    """A rule, how many of its sums must agree, and what their spread is multiplied by."""
    if law.dimension == 1:
        return _panels, 2, 1
    _, _, counts = _box(law, _step(law, scale, 0))
    few = counts.prod() <= most // REFINABLE
    return (_grid if few else _own_grids), GRIDS, 4


def _panels(
    law: GaussianMixture, scale: float, refinements: int, most: int
) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre panels for what is each component's own of the law."""
    means, deviations = law.means[:, 0], law.variances[:, 0].sqrt()
    offsets = WIDEST * (torch.arange(PANELS + 1, dtype=torch.float64) - PANELS / 2)
    apart = (means - means[:, None])[..., None] + deviations[:, None] * offsets
    edges = (apart / deviations[:, None, None]).clamp(-FARTHEST, FARTHEST).flatten(1).sort(1).values
    low, width = edges[:, :-1].flatten(), edges.diff().flatten()
    component = torch.arange(len(means)).repeat_interleave(edges.shape[1] - 1)
    longest = (RADIANS * scale / deviations).clamp(max=WIDEST)
    pieces = torch.ceil(width / longest[component]).long() * 2**refinements
    total = int(pieces.sum())
    _require_few(float(total * len(NODES)), most)
    index = torch.arange(total) - torch.repeat_interleave(pieces.cumsum(0) - pieces, pieces)
    panel = torch.repeat_interleave(pieces)
    width, component = (width / pieces)[panel], component[panel]
    middle = low[panel] + (index + 0.5) * width
    z = middle[:, None] + width[:, None] / 2 * NODES
    density = torch.exp(law.log_weights[component, None] - z**2 / 2) / math.sqrt(2 * math.pi)
    x = means[component, None] + deviations[component, None] * z
    return x.reshape(-1, 1), (density * width[:, None] / 2 * NODE_WEIGHTS).flatten()


def _grid(law: GaussianMixture, scale: float, refinements: int, most: int) -> tuple[Tensor, Tensor]:
    """The trapezoid rule around all components, about the mean of their means."""
    finer, moved = divmod(refinements, GRIDS)
    step, origin = _step(law, scale, finer), law.means.mean(0)
    law = replace(law, means=law.means - origin)
    low, _, counts = _box(law, step)
    _require_few(counts.prod().item(), most)
    move = moved * step * torch.tensor(MOVES[: law.dimension], dtype=torch.float64)
    y = _cartesian(
        start + step * torch.arange(int(count), dtype=torch.float64)
        for start, count in zip(low - move, counts.tolist(), strict=True)
    )
    return origin + y, step**law.dimension * torch.exp(law.log_density(y))


def _step(law: GaussianMixture, scale: float, finer: int) -> float:
    return FIRST_STEP * min(law.variances.min().sqrt().item(), scale) / FINER**finer


def _box(law: GaussianMixture, step: float) -> tuple[Tensor, Tensor, Tensor]:
    """Ends (d,) of what a grid covers, and how many steps that takes, (d,)."""
    spread = REACH * torch.diagonal(law.covariances(), dim1=-2, dim2=-1).sqrt()
    low, high = (law.means - spread).amin(0), (law.means + spread).amax(0)
    return low, high, torch.ceil((high - low) / step) + 1


def _own_grids(
    law: GaussianMixture, scale: float, refinements: int, most: int
) -> tuple[Tensor, Tensor]:
    """The trapezoid rule along the eigenvectors of each component, for what is its own of the law."""
    finer, moved = divmod(refinements, GRIDS)
    deviations = law.variances.sqrt()
    steps = FIRST_STEP / FINER**finer * _scales(law).clamp(max=scale) / deviations
    counts = torch.ceil(2 * REACH / steps) + 1
    _require_few(counts.prod(1).sum().item(), most)
    move = moved * torch.tensor(MOVES[: law.dimension], dtype=torch.float64)
    points, weights = [], []
    for k, (step, count) in enumerate(zip(steps, counts.tolist(), strict=True)):
        z = _cartesian(
            -REACH + (torch.arange(int(n), dtype=torch.float64) - m) * length
            for n, m, length in zip(count, move, step, strict=True)
        )
        density = torch.exp(-z.square().sum(1) / 2) * (step / math.sqrt(2 * math.pi)).prod()
        points.append(_placed(law, k, z))
        weights.append(torch.exp(law.log_weights[k]) * density)
    return torch.cat(points), torch.cat(weights)


def _scales(law: GaussianMixture) -> Tensor:
    """Along each eigenvector of component k the least deviation of any that it overlaps, (K, d)."""
    axes = torch.eye(law.dimension, dtype=torch.float64).expand_as(law.covariances())
    axes = axes if law.rotations is None else law.rotations
    precisions = torch.einsum("kia,jil,kla->kja", axes, law.precisions(), axes)
    variances = torch.einsum("kia,jil,kla->kja", axes, law.covariances(), axes)
    apart = torch.einsum("kia,kji->kja", axes, law.means[:, None] - law.means).abs()
    meets = (apart <= REACH * (law.variances.sqrt()[:, None] + variances.sqrt())).all(-1)
    return torch.where(meets[..., None], precisions.rsqrt(), math.inf).amin(1)


def hermite(law: GaussianMixture, count: int) -> tuple[Tensor, Tensor]:
    """Points (N, d) and weights (N,) of Gauss and Hermite's rule with ``count`` nodes to an axis.

    It is laid for each component, in any dimension, and is exact for polynomials of degree
    2 count - 1; how well it does on anything else is not known.
    """
    nodes, weights = map(torch.from_numpy, np.polynomial.hermite_e.hermegauss(count))
    z = _cartesian([nodes] * law.dimension)
    of_nodes = _cartesian([weights / math.sqrt(2 * math.pi)] * law.dimension).prod(1)
    x = torch.cat([_placed(law, k, z) for k in range(len(law.means))])
    return x, torch.outer(torch.exp(law.log_weights), of_nodes).flatten()


def _placed(law: GaussianMixture, k: int, z: Tensor) -> Tensor:
    """Points (N, d) of component k from z in its deviations along its eigenvectors."""
    offsets = z * law.variances[k].sqrt()
    return law.means[k] + (offsets if law.rotations is None else offsets @ law.rotations[k].T)


def _cartesian(axes: Iterable[Tensor]) -> Tensor:
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)


def _require_few(points: float, most: int) -> None:
    if points > most:
        raise UnresolvedError(f"quadrature: more than {most} points wanted")
