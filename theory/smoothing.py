"""Smoothing over log-SNR: what is known at one time tells of its neighbours.

A cubic smoothing spline with weights is linear in its data, so it is one matrix for all pixels.
"""

import numpy as np
import torch
from jaxtyping import Float64
from scipy.interpolate import make_smoothing_spline
from torch import Tensor

STRENGTHS = tuple(10.0**power for power in range(-3, 4))
"""Penalties on the squared second derivative, for precisions of mean one."""

LEAST_TIMES = 5
"""A cubic smoothing spline needs as many points."""


def smoothers(
    log_snr: Float64[Tensor, "n"], error_energy: Float64[Tensor, "n"]
) -> "list[Float64[Tensor, 'n n']]":
    """Candidate smoothing matrices, the identity first; rows give smoothed values at each time.

    Args:
        log_snr: distinct and finite, in any order; where it is not, only the identity is returned.
        error_energy: of the estimate at each time; its inverse is the weight.
    """
    n = len(log_snr)
    identity = torch.eye(n, dtype=torch.float64)
    if n < LEAST_TIMES or not log_snr.isfinite().all() or not (error_energy > 0).all():
        return [identity]
    order = torch.argsort(log_snr).numpy()
    precision = (1 / error_energy[order]).numpy()
    precision = precision / precision.mean()
    x, matrices = log_snr[order].numpy(), [identity]
    for strength in STRENGTHS:
        spline = make_smoothing_spline(x, np.eye(n), w=precision, lam=strength)
        matrix = torch.zeros(n, n, dtype=torch.float64)
        matrix[np.ix_(order, order)] = torch.from_numpy(spline(x))
        matrices.append(matrix)
    return matrices
