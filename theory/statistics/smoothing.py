"""Smoothing over log-SNR, by which neighbouring times share what they know of the shift.

A weighted cubic smoothing spline is linear in its data, so that one matrix serves for all pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from scipy.interpolate import CubicSpline
from scipy.linalg import solveh_banded
from torch import Tensor

STRENGTHS = (0.0, *(10.0**power for power in range(-3, 4)))
"""Penalties on the squared second derivative, for weights of mean one; the first is none."""

LEAST_TIMES = 5
"""The fewest points that are smoothed."""


def smoothers(
    log_snr: Float64[Tensor, "n"], error_energy: Float64[Tensor, "n"]
) -> "list[Float64[Tensor, 'n n']]":
    """Smoothing matrices (n, n), one for each of the ``STRENGTHS``, the identity first.

    Args:
        log_snr: of each time, distinct, in any order.
        error_energy: of the estimate at each time; its inverse is the weight.

    Returns:
        Matrices that take the values at all times to smoothed ones; only the identity if there are
        fewer than ``LEAST_TIMES`` times, a log-SNR is infinite, or an error energy is not positive.
    """
    n = len(log_snr)
    identity = torch.eye(n, dtype=torch.float64)
    if n < LEAST_TIMES or not log_snr.isfinite().all() or not (error_energy > 0).all():
        return [identity]
    order = torch.argsort(log_snr).numpy()
    precision = (1 / error_energy[order]).numpy()
    precision = precision / precision.mean()
    spline, matrices = _Spline.of(log_snr[order].numpy(), precision), [identity]
    for strength in STRENGTHS[1:]:
        matrix = torch.zeros(n, n, dtype=torch.float64)
        matrix[np.ix_(order, order)] = torch.from_numpy(spline.smoother(strength))
        matrices.append(matrix)
    return matrices


@dataclass(frozen=True)
class _Spline:
    """The cubic smoothing spline of n points, whose smoothers differ in their strength alone.

    It minimizes sum_i w_i (y_i - f(x_i))^2 + strength int f''^2. With Q and R below, the second
    derivatives of f at the inner points solve (R + strength Q^T W^-1 Q) f'' = Q^T y, a system of five
    diagonals, and f(x) = y - strength W^-1 Q f''. Green & Silverman, "Nonparametric Regression and
    Generalized Linear Models" (1994), sections 2.1.2, 2.3.3 and 3.5.1.

    Attributes:
        differences: the three diagonals of Q^T, (3, n - 2): divided differences of slopes.
        spread: of W^-1, (n,).
        tension: R, by its upper diagonals, (3, n - 2): int f''^2 of a piecewise linear f''.
        coupling: Q^T W^-1 Q, likewise.
    """

    differences: Float64[np.ndarray, "3 inner"]
    spread: Float64[np.ndarray, "n"]
    tension: Float64[np.ndarray, "3 inner"]
    coupling: Float64[np.ndarray, "3 inner"]

    @classmethod
    def of(cls, x: Float64[np.ndarray, "n"], weights: Float64[np.ndarray, "n"]) -> "_Spline":
        """Of increasing x and positive weights."""
        gaps, v = np.diff(x), 1 / weights
        first, last = 1 / gaps[:-1], 1 / gaps[1:]
        middle = -(first + last)
        tension, coupling = np.zeros((2, 3, len(first)))
        tension[2] = (gaps[:-1] + gaps[1:]) / 3
        tension[1, 1:] = gaps[1:-1] / 6
        coupling[2] = first**2 * v[:-2] + middle**2 * v[1:-1] + last**2 * v[2:]
        coupling[1, 1:] = v[1:-2] * middle[:-1] * first[1:] + v[2:-1] * last[:-1] * middle[1:]
        coupling[0, 2:] = v[2:-2] * last[:-2] * first[2:]
        return cls(np.stack([first, middle, last]), v, tension, coupling)

    def smoother(self, strength: float) -> Float64[np.ndarray, "n n"]:
        """The matrix from values at x to those of the spline."""
        inner, n = len(self.spread) - 2, len(self.spread)
        second = np.zeros((inner, n))
        for offset, diagonal in enumerate(self.differences):
            second[np.arange(inner), np.arange(inner) + offset] = diagonal
        curvatures = solveh_banded(self.tension + strength * self.coupling, second)
        pull = np.zeros((n, n))
        for offset, diagonal in enumerate(self.differences):
            pull[offset : offset + inner] += diagonal[:, None] * curvatures
        return np.eye(n) - strength * self.spread[:, None] * pull


def curvature(
    log_snr: Float64[Tensor, "time"], shift: Float64[Tensor, "time *shape"]
) -> Float64[Tensor, "time *shape"]:
    """Second derivatives in log-SNR of natural cubic splines through the shifts.

    One spline runs through each stretch of neighbouring times with a shift other than zero. The
    curvature is zero at its ends and where the shift is zero. Log-SNR is monotonic in the times.
    """
    applied = (shift.flatten(1) != 0).any(1) & log_snr.isfinite()
    result = torch.zeros_like(shift)
    first = 0
    while first < len(applied):
        end = first
        while end < len(applied) and applied[end]:
            end += 1
        if end - first > 2:
            inside = slice(first, end)
            x, y = log_snr[inside].numpy(), shift[inside].numpy()
            ascending = slice(None, None, 1 if x[0] < x[-1] else -1)
            spline = CubicSpline(x[ascending], y[ascending], bc_type="natural")
            result[inside] = torch.from_numpy(spline(x, 2))
        first = max(end, first + 1)
    return result
