"""Expectations under mixtures in one to three dimensions, with the error that they carry.

In one dimension, Gauss-Legendre panels: every component brings panels of its own width, so that
components a million times narrower than their neighbours, or far away from them, are resolved
and the empty line between them costs one panel. Beyond, the trapezoid rule on one grid, which
converges geometrically for analytic integrands that decay.

Either rule is refined until successive sums agree, and an upper estimate of their error is reported.
Panels are halved, and the difference of two sums is that. A grid is moved twice, by ``MOVES`` of its
step, before it is refined. By Poisson's summation the error of a grid is a sum of Fourier coefficients
F_m over m != 0, in conjugate pairs, of which the j-th grid sees F_m exp(2 pi i j m.move): for every
|m_i| <= 1 the three real values that come of a pair differ by a quarter of its size or more, whatever
its phase. So no term can hide, as one may from two grids, and four times the spread is reported.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from toy.mixture import GaussianMixture

REACH = 9.0
"""How many standard deviations around each component are covered: 2e-19 of its mass is not."""

PANELS = 6
"""First panels of a component, each of three standard deviations."""

FIRST_STEP = 0.75
"""First step of the grid, in the smallest standard deviation: error exp(-2 pi^2 / 0.75^2) ~ 6e-16."""

MOVES = (0.475, 0.2375, 0.1167)
"""How far each grid lies from the one before, along each axis, in steps."""

GRIDS = 3
"""Grids of one step, whose sums must agree."""

FINER = 1.5
"""By how much the step shrinks once grids of one step do not agree."""

MAX_POINTS = 2**22

TINY = 1e-300
"""Instead of a unit that is zero, in which nothing is in error."""

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
    rtol: float = 1e-11,
) -> Integral:
    """E_{x ~ law} h(x) for h: (N, d) -> (N, m), d = 1, 2 or 3.

    Args:
        scale: a length over which h varies, if shorter than the law's own (a wave would otherwise
            be sampled too coarsely for two sums to tell).
        size: of the terms that h adds up, if they cancel: its rounding is relative to it.

    Raises:
        UnresolvedError: the sums do not settle to ``rtol`` of E|h| or the size, or are not finite.
    """
    rule, together, factor = (_panels, 2, 1) if law.dimension == 1 else (_grid, GRIDS, 4)
    sums: list[Tensor] = []
    while True:
        x, weights = rule(law, scale, len(sums))
        weights = weights * torch.exp(law.log_density(x))
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


def _panels(law: GaussianMixture, scale: float, refinements: int) -> tuple[Tensor, Tensor]:
    """Points (N, 1) and weights (N,) of Gauss-Legendre panels, each three deviations at most."""
    offsets = torch.linspace(-REACH, REACH, PANELS + 1, dtype=torch.float64)
    edges = torch.unique(law.means + law.variances.sqrt() * offsets)
    low, width = edges[:-1], edges.diff()
    pieces = torch.ceil(width / (2 * REACH / PANELS * scale)).clamp(min=1).long() * 2**refinements
    total = int(pieces.sum())
    _require_few(float(total * len(NODES)))
    index = torch.arange(total) - torch.repeat_interleave(pieces.cumsum(0) - pieces, pieces)
    width = torch.repeat_interleave(width / pieces, pieces)
    middle = torch.repeat_interleave(low, pieces) + (index + 0.5) * width
    x = middle[:, None] + width[:, None] / 2 * NODES
    return x.reshape(-1, 1), (width[:, None] / 2 * NODE_WEIGHTS).reshape(-1)


def _grid(law: GaussianMixture, scale: float, refinements: int) -> tuple[Tensor, Tensor]:
    """Points (N, d) and weights (N,) of the trapezoid rule around all components."""
    finer, moved = divmod(refinements, GRIDS)
    spread = REACH * torch.sqrt(torch.diagonal(law.covariances(), dim1=-2, dim2=-1))
    step = FIRST_STEP * min(law.variances.min().sqrt().item(), scale) / FINER**finer
    move = moved * step * torch.tensor(MOVES[: law.dimension], dtype=torch.float64)
    low = (law.means - spread).amin(0) - move
    high = (law.means + spread).amax(0)
    counts = torch.ceil((high - low) / step)
    _require_few(counts.prod().item())
    axes = [
        start + step * torch.arange(int(count) + 1, dtype=torch.float64)
        for start, count in zip(low, counts.tolist(), strict=True)
    ]
    x = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)
    return x, torch.full((len(x),), step ** len(axes), dtype=torch.float64)


def _require_few(points: float) -> None:
    if points > MAX_POINTS:
        raise UnresolvedError(f"quadrature: more than {MAX_POINTS} points wanted")
