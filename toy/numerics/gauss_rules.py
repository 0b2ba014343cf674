"""Gauss's rules of integration as tensors, and extrapolation to the limit."""

from collections.abc import Iterable
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

Rule = tuple[Float64[Tensor, "n"], Float64[Tensor, "n"]]
"""Nodes and weights."""


@cache
def gauss_legendre(count: int) -> Rule:
    """int_{-1}^{1} h(z) dz ~ sum_i w_i h(z_i), exact for polynomials of degree 2 count - 1."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return torch.from_numpy(nodes), torch.from_numpy(weights)


@cache
def gauss_hermite(count: int) -> Rule:
    """E h(z) ~ sum_i w_i h(z_i) for z ~ N(0, 1), exact for polynomials of degree 2 count - 1."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    return torch.from_numpy(nodes), torch.from_numpy(weights / np.sqrt(2 * np.pi))


def cartesian(axes: Iterable[Float64[Tensor, "_"]]) -> Float64[Tensor, "n d"]:
    """All points whose i-th coordinate is one of the i-th of d axes."""
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)


def extrapolated(values: list[float], base: float = 2.0) -> float:
    """The limit of a sequence at n, 2n, 4n ... whose error is a series in 1/n (Romberg's method).

    Args:
        values: of the sequence.
        base: 2 for a series in 1/n, 4 for one in 1/n^2.
    """
    column, power = values, base
    while len(column) > 1:
        column = [(power * b - a) / (power - 1) for a, b in pairwise(column)]
        power *= base
    return column[0]
