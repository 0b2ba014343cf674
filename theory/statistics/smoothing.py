"""Smoothing over log-SNR, by which neighbouring times share what they know of the shift.

A weighted cubic smoothing spline is linear in its data, so that one matrix serves for all pixels.
"""

import numpy as np
import torch
from jaxtyping import Float64
from scipy.interpolate import CubicSpline, make_smoothing_spline
from torch import Tensor

STRENGTHS = (0.0, *(10.0**power for power in range(-3, 4)))
"""Penalties on the squared second derivative, for weights of mean one; the first is none."""

LEAST_TIMES = 5
"""The fewest points of a cubic smoothing spline."""


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
    x, matrices = log_snr[order].numpy(), [identity]
    for strength in STRENGTHS[1:]:
        spline = make_smoothing_spline(x, np.eye(n), w=precision, lam=strength)
        matrix = torch.zeros(n, n, dtype=torch.float64)
        matrix[np.ix_(order, order)] = torch.from_numpy(spline(x))
        matrices.append(matrix)
    return matrices


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
