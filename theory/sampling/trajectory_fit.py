"""Fit a solver to the fine solution of the same network, step by step, by least squares.

A network's probability flow takes each start to one sample. Let X_i be where its fine solution is
when a solver of n evaluations makes its i-th, from the same start. Going through the steps in their
order, the solver's own positions u_i and predictions D_i, D_{i-1}, ... are at hand, and

    X_{i+1} - (w_{i0} u_i + w_{i1} D_i + ...)  ~  v_{i0} u_i + v_{i1} D_i + ... + v_{ih} D_{i-h+1}

is a regression in 1 + h unknowns for each cell of coordinates. v = 0 is among its choices, so the
mean squared distance on the starts that it is fitted to never rises; that it falls on others is
what is measured on starts of their own. How many predictions, cells and how much ridge is chosen
step by step on left-out starts.

The solvers of diffusers that go by one linear combination per step lie in the span; kin are
DPM-Solver-v3 (Zheng et al. 2023), PAS and LD3, which optimize by gradients.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from theory.sampling.cells import CellWeights, kinds_for, partition
from theory.statistics.image_bases import Partition

FOLDS = 4
RIDGES = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
MOST_HISTORY = 3
"""Predictions that a step may use, unless its solver uses more."""


@dataclass(frozen=True, eq=False)
class StepFit:
    """The fit of one step.

    Attributes:
        added: what is added to the solver's step; None if nothing lowers the error on left-out starts.
        before, after: mean squared distance to the fine solution on left-out starts, without and with.
    """

    added: CellWeights | None
    before: float
    after: float


def fit_step(
    features: Float64[Tensor, "k start d"],
    remainder: Float64[Tensor, "start d"],
    shape: tuple[int, ...],
    kinds: Sequence[str] | None = None,
) -> StepFit:
    """Regress what is left to the fine solution on what the solver has at hand.

    Args:
        features: u_i, D_i, D_{i-1}, ... at each start, flattened.
        remainder: X_{i+1} less the solver's own step.
        shape: of one image.
        kinds: names of the partitions that are tried (default: all that the shape has).
    """
    starts = remainder.shape[0]
    fold = torch.arange(starts) % FOLDS
    before = (remainder.square().sum() / starts).item()
    best, chosen = before, None
    for cells in (partition(name, shape) for name in kinds or kinds_for(shape)):
        products = fold_products(cells, features, remainder, fold)
        for count in range(2, len(features) + 1):
            kept = torch.cat([torch.arange(count), torch.tensor([len(features)])])
            some = products[:, kept][:, :, kept]
            for ridge in RIDGES:
                error = (_left_out_errors(some, ridge).sum() / starts).item()
                if error < best:
                    best, chosen = error, (cells, some.sum(0), ridge)
    if chosen is None:
        return StepFit(None, before, before)
    cells, total, ridge = chosen
    return StepFit(CellWeights(cells, ridge_weights(total, ridge).T), before, best)


def fold_products(
    cells: Partition, features: Tensor, remainder: Tensor, fold: Int64[Tensor, "start"]
) -> Float64[Tensor, "fold f f cell"]:
    """Sums of products of the features and the remainder, of the starts of each fold, in each cell."""
    every = torch.stack([cells.coordinates(x) for x in (*features, remainder)])
    return torch.stack(
        [
            cells.sums(torch.einsum("isd,jsd->ijd", every[:, fold == k], every[:, fold == k]))
            for k in range(FOLDS)
        ]
    )


def _left_out_errors(
    products: Float64[Tensor, "fold f f cell"], ridge: float
) -> Float64[Tensor, "fold"]:
    """Squared errors on the starts of each fold, of what is fitted to the others."""
    errors = []
    for own, others in zip(products, products.sum(0) - products, strict=True):
        unit = torch.cat([-ridge_weights(others, ridge), torch.ones(own.shape[-1], 1).double()], 1)
        errors.append(torch.einsum("ci,ijc,cj->", unit, own, unit))
    return torch.stack(errors)


def ridge_weights(products: Float64[Tensor, "f f cell"], ridge: float) -> Float64[Tensor, "cell k"]:
    """Weights of every cell, shrunk toward those of all cells together:

        (P + kappa D) v = p + kappa D v_whole,    D = diag P.

    The mean square of what is left never rises by them: v_whole does not raise it, and v minimizes
    it plus kappa (v - v_whole) . D (v - v_whole), which is zero at v_whole.

    Args:
        products: P, and p in the last row and column, of every cell.
        ridge: kappa.
    """
    whole = _ridge(products.sum(-1, keepdim=True), RIDGES[0], torch.zeros(()).double())
    return _ridge(products, ridge, whole)


def _ridge(products: Tensor, ridge: float, toward: Tensor) -> Tensor:
    moments = products.permute(2, 0, 1)
    square, cross = moments[:, :-1, :-1], moments[:, :-1, -1]
    size = square.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
    unit = torch.where(size > 0, size, 1.0)
    matrix = square / (unit[:, :, None] * unit[:, None, :])
    matrix = matrix + ridge * torch.eye(len(unit.T), dtype=torch.float64)
    right = cross / unit + ridge * size * toward
    return torch.linalg.solve(matrix, right) / unit
